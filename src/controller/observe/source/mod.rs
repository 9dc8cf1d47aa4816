//! The events of one stream: a list in pages, then watches. kube's watcher is not used because it decodes a page or an
//! event as a whole, restarts a list after one failed page, and does not expose resourceVersions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use http::Request;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::Request as Builder;
use kube::runtime::watcher::{Error, Event, Result};
use tokio::time::Instant;

use super::decode::{self, Change, Item, Slim};
use super::history::{History, Mark};
use super::kind::Kind;
use super::requests::{self, Lines};
use crate::controller::key::ObjectKey;
use crate::metrics::Metrics;

/// The number of objects of the first page.
const FIRST_PAGE: u32 = 500;
/// The size of a page to aim for, in bytes; a page is buffered as a whole.
const PAGE_BYTES: usize = 8 << 20;
/// The size at which a page is given up and requested again with half as many objects.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// The shortest time between the starts of two watches that ended without an error.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long a watch may stay open beyond the time that the API server was asked for.
const WATCH_GRACE: Duration = Duration::from_secs(30);

/// What to list and watch.
#[derive(Clone)]
pub(in crate::controller) struct Target {
    pub(in crate::controller) kind: Kind,
    /// The URL path of the list.
    pub(in crate::controller) path: String,
    pub(in crate::controller) label_selector: Option<&'static str>,
    /// Whether to request only the metadata of each object.
    pub(in crate::controller) metadata_only: bool,
    /// How long the API server keeps a watch open.
    pub(in crate::controller) watch: Duration,
}

/// Lists and watches `target` indefinitely. An error is followed by another attempt when the stream is polled again.
pub(in crate::controller) fn events<T: Slim + Send + 'static>(
    client: Client,
    target: Target,
    metrics: Arc<Metrics>,
    history: History,
) -> impl Stream<Item = Result<Event<(ObjectKey, T)>>> + Send {
    let source = Source {
        client,
        target,
        metrics,
        restores: history.restores(),
        history,
        state: State::Empty,
        ready: VecDeque::new(),
        limit: FIRST_PAGE,
    };
    futures::stream::unfold(source, |mut source| async {
        let event = source.next().await;
        Some((event, source))
    })
}

struct Source<T> {
    client: Client,
    target: Target,
    metrics: Arc<Metrics>,
    history: History,
    restores: tokio::sync::watch::Receiver<u64>,
    state: State,
    /// Decoded and not delivered yet.
    ready: VecDeque<Event<(ObjectKey, T)>>,
    /// The number of objects of the next page.
    limit: u32,
}

enum State {
    /// Nothing is known: a list follows.
    Empty,
    /// A page of the list that began after this mark is due: the first one, or the one with this token.
    Listing(Mark, Option<String>),
    /// The items of this page from this index are due.
    Page(Mark, decode::Page, usize),
    /// A watch from this version is due. The flag says whether a list has just returned the version: any other version
    /// is checked first.
    Listed(String, bool),
    Watching(Watch),
}

struct Watch {
    resource_version: String,
    lines: Lines,
    opened: Instant,
}

impl<T: Slim> Source<T> {
    async fn next(&mut self) -> Result<Event<(ObjectKey, T)>> {
        loop {
            if self.restores.has_changed().unwrap_or_default() {
                self.restores.mark_unchanged();
                self.ready.clear();
                self.state = State::Empty;
            }
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.state = match std::mem::replace(&mut self.state, State::Empty) {
                State::Empty => {
                    self.ready.push_back(Event::Init);
                    State::Listing(self.history.mark(self.target.kind), None)
                }
                State::Listing(mark, token) => self.list(mark, token).await?,
                State::Page(mark, page, index) => self.ingest(mark, page, index)?,
                State::Listed(version, true) => self.open(version).await?,
                State::Listed(version, false) => self.check(version).await?,
                State::Watching(watch) => self.follow(watch).await?,
            };
        }
    }

    /// Reads one page. After a failure that may be transient, the same page is read again, not the whole list.
    async fn list(&mut self, mark: Mark, token: Option<String>) -> Result<State> {
        let page = match self.page(token.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                if is_transient(&error) {
                    self.state = State::Listing(mark, token);
                }
                return Err(Error::InitialListFailed(error));
            }
        };
        Ok(State::Page(mark, page, 0))
    }

    /// Ingests the item of a page at this index, or what follows the page.
    fn ingest(&mut self, mark: Mark, page: decode::Page, index: usize) -> Result<State> {
        if let Some(item) = page.item(index) {
            let item = self.decoded(item);
            self.ready.extend(item.map(Event::InitApply));
            return Ok(State::Page(mark, page, index + 1));
        }
        Ok(match page.next {
            Some(token) => State::Listing(mark, Some(token)),
            None if page.resource_version.is_empty() => return Err(Error::NoResourceVersion),
            None => {
                if self
                    .history
                    .listed(self.target.kind, &page.resource_version, mark)
                {
                    return Ok(State::Empty);
                }
                self.ready.push_back(Event::InitDone);
                State::Listed(page.resource_version, true)
            }
        })
    }

    async fn page(&mut self, token: Option<&str>) -> kube::Result<decode::Page> {
        loop {
            let params = ListParams {
                limit: Some(self.limit),
                continue_token: token.map(str::to_owned),
                ..self.list_params()
            };
            // One object is never too large: the API server limits it.
            let max = if self.limit > 1 {
                MAX_PAGE_BYTES
            } else {
                usize::MAX
            };
            match requests::read_up_to(&self.client, self.list_request(&params)?, max).await? {
                Some(bytes) => {
                    let size = bytes.len();
                    let page = decode::page(bytes).map_err(kube::Error::SerdeError)?;
                    self.limit = next_limit(self.limit, page.len(), size);
                    return Ok(page);
                }
                None => self.limit /= 2,
            }
        }
    }

    fn list_params(&self) -> ListParams {
        ListParams {
            label_selector: self.target.label_selector.map(str::to_owned),
            ..ListParams::default()
        }
    }

    fn list_request(&self, params: &ListParams) -> kube::Result<Request<Vec<u8>>> {
        let builder = Builder::new(self.target.path.as_str());
        let request = if self.target.metadata_only {
            builder.list_metadata(params)
        } else {
            builder.list(params)
        };
        request.map_err(kube::Error::BuildRequest)
    }

    /// Checks with a short list that `version` is not in the future: from there, a watch would stay silent.
    async fn check(&mut self, version: String) -> Result<State> {
        let mark = self.history.mark(self.target.kind);
        let params = ListParams {
            limit: Some(1),
            ..self.list_params()
        };
        match self.current_version(&params).await {
            Ok(current) if self.history.listed(self.target.kind, &current, mark) => Ok(State::Empty),
            Ok(_) => Ok(State::Listed(version, true)),
            Err(error) => {
                if !needs_list(&error) {
                    self.state = State::Listed(version, false);
                }
                Err(Error::WatchStartFailed(error))
            }
        }
    }

    async fn current_version(&mut self, params: &ListParams) -> kube::Result<String> {
        let request = self.list_request(params)?;
        let bytes = requests::read(&self.client, request).await?;
        let page = decode::page(bytes.into()).map_err(kube::Error::SerdeError)?;
        Ok(page.resource_version)
    }

    /// Starts a watch.
    async fn open(&mut self, resource_version: String) -> Result<State> {
        let opened = Instant::now();
        match self.watch(&resource_version).await {
            Ok(lines) => Ok(State::Watching(Watch {
                resource_version,
                lines,
                opened,
            })),
            Err(error) => {
                if !needs_list(&error) {
                    self.state = State::Listed(resource_version, false);
                }
                Err(Error::WatchStartFailed(error))
            }
        }
    }

    async fn watch(&mut self, resource_version: &str) -> kube::Result<Lines> {
        let params = WatchParams {
            label_selector: self.target.label_selector.map(str::to_owned),
            timeout: Some(u32::try_from(self.target.watch.as_secs()).unwrap_or(u32::MAX)),
            bookmarks: true,
            ..WatchParams::default()
        };
        let builder = Builder::new(self.target.path.as_str());
        let request = if self.target.metadata_only {
            builder.watch_metadata(&params, resource_version)
        } else {
            builder.watch(&params, resource_version)
        };
        Lines::open(&self.client, request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Waits for the next line of a watch and ingests it.
    async fn follow(&mut self, mut watch: Watch) -> Result<State> {
        let until = watch.opened + self.target.watch + WATCH_GRACE;
        let mark = self.history.mark(self.target.kind);
        let line = tokio::select! {
            biased;
            // Everything is listed again, by every stream.
            _ = self.restores.changed() => return Ok(State::Empty),
            line = tokio::time::timeout_at(until, watch.lines.next()) => line,
        };
        let Ok(Some(Ok(line))) = line else {
            // It ended as requested, its connection broke, or nobody responds: the next request shows the difference.
            tokio::time::sleep_until(watch.opened + WATCH_INTERVAL).await;
            return Ok(State::Listed(watch.resource_version, false));
        };
        let line = match decode::line::<T>(&line) {
            Ok(line) => line,
            // What changed is unknown.
            Err(error) => return Err(Error::WatchFailed(kube::Error::SerdeError(error))),
        };
        let event = match line.change {
            Change::Applied(item) => self.decoded(item).map(Event::Apply),
            Change::Deleted(item) => self.decoded(item).map(Event::Delete),
            Change::Bookmark => None,
            Change::Failed(status) => {
                if status.code != 410 {
                    self.state = State::Listed(watch.resource_version, false);
                }
                return Err(Error::WatchError(status));
            }
        };
        self.ready.extend(event);
        if let Some(version) = line.resource_version {
            self.history.delivered(self.target.kind, &version, mark);
            watch.resource_version = version;
        }
        Ok(State::Watching(watch))
    }

    /// Returns the object, or counts and logs one that cannot be decoded.
    fn decoded(&self, item: Item<T>) -> Option<(ObjectKey, T)> {
        match item {
            Ok(item) => Some(item),
            Err(undecodable) => {
                undecodable.report(self.target.kind.as_str(), &self.metrics);
                None
            }
        }
    }
}

/// Whether the same request may succeed later: the API server is overloaded, failing or unreachable.
fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::SerdeError(_) => false,
        _ => true,
    }
}

/// Whether a watch cannot be resumed: its version expired, or the CRD was removed and with it every object.
fn needs_list(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410 || status.code == 404)
}

/// Returns the number of objects of the page after one of `bytes` with `count` objects, for which `limit` were requested.
/// It at most doubles: objects of one size often come in a row.
fn next_limit(limit: u32, count: usize, bytes: usize) -> u32 {
    let fitting = if count == 0 || bytes == 0 {
        FIRST_PAGE
    } else {
        u32::try_from(count.saturating_mul(PAGE_BYTES) / bytes).unwrap_or(u32::MAX)
    };
    fitting.min(limit.saturating_mul(2)).clamp(1, FIRST_PAGE)
}

#[cfg(test)]
mod tests;
