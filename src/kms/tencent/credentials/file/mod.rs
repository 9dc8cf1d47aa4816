//! Credentials in files: a profile (INI), or a folder as a Secret volume lays it out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::env::{self, Environment};
use super::{Credentials, Fetched, Found, Provide, Source};
use crate::files::{self, ReadError, Stamp};

/// More than any of these files holds. Bytes.
const MAX_LEN: u64 = 64 << 10;

/// The keys of a folder, as they stand in a Secret.
const SECRET_ID: &str = "secretId";
const SECRET_KEY: &str = "secretKey";
const TOKEN: &str = "token";

/// A file or a folder, read again when it changes.
pub(super) struct FileSource {
    source: Source,
    /// The first that is there is used.
    places: Vec<PathBuf>,
    /// Whether one of them must be there.
    required: bool,
    /// The state of what was read last.
    read: Mutex<Option<Vec<Stamp>>>,
}

impl FileSource {
    /// A place that somebody named.
    pub(super) fn named(path: PathBuf) -> Self {
        FileSource::new(Source::File, vec![path], true)
    }

    /// The profile file: where a variable says, else at its usual places.
    pub(super) fn profile(environment: &Environment) -> Self {
        if let Some(path) = environment.text(env::PROFILE) {
            return FileSource::new(Source::Profile, vec![path.into()], true);
        }
        let home = environment.text(env::HOME).map(Path::new);
        let usual = ".tencentcloud/credentials";
        let places = home.map(|home| home.join(usual)).into_iter();
        let places = places.chain([PathBuf::from("/etc/tencentcloud/credentials")]);
        FileSource::new(Source::Profile, places.collect(), false)
    }

    fn new(source: Source, places: Vec<PathBuf>, required: bool) -> Self {
        FileSource {
            source,
            places,
            required,
            read: Mutex::new(None),
        }
    }

    fn place(&self) -> Option<&PathBuf> {
        self.places.iter().find(|path| path.exists())
    }

    fn load(&self) -> Found {
        let Some(path) = self.place() else {
            let names: Vec<String> = self
                .places
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let why = format!("{} is not there", names.join(" or "));
            return if self.required {
                Found::unusable(
                    why,
                    "name a credentials file, or a folder with secretId and secretKey",
                )
            } else {
                Found::Absent(why)
            };
        };
        // Before the reading: a change in between is seen the next time.
        let stamps = stamps(path);
        let found = if path.is_dir() {
            read_folder(path)
        } else {
            read_profile(path)
        };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
        match found {
            Ok(credentials) => Found::Credentials(Fetched::for_good(credentials)),
            Err(why) => Found::unusable(
                format!("{}: {why}", path.display()),
                "write a profile with secret_id and secret_key under [default], or a folder with the files secretId \
                 and secretKey",
            ),
        }
    }
}

impl Provide for FileSource {
    fn source(&self) -> Source {
        self.source
    }

    fn fetch(&self) -> BoxFuture<'_, Found> {
        async { self.load() }.boxed()
    }

    fn changed(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that is gone has not changed: what it held stays in use.
        let now = self.place().and_then(|path| stamps(path));
        now.is_some() && *read != now
    }
}

/// The state of what credentials are read from, through all symlinks.
fn stamps(path: &Path) -> Option<Vec<Stamp>> {
    if !path.is_dir() {
        return Stamp::of(path).ok().map(|stamp| vec![stamp]);
    }
    let files = [SECRET_ID, SECRET_KEY, TOKEN].map(|name| Stamp::of(&path.join(name)).ok());
    let [id, key, token] = files;
    Some([id?, key?].into_iter().chain(token).collect())
}

/// A Secret volume swaps all its files at once by moving the link `..data`: its target is read, so that an id and a
/// key are of one revision.
fn read_folder(path: &Path) -> Result<Credentials, String> {
    let folder = fs::canonicalize(path.join("..data")).unwrap_or_else(|_| path.to_owned());
    let read = |name: &str| match read_text(&folder.join(name)) {
        Ok(text) => Ok(Some(Zeroizing::new(text.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    };
    let id = read(SECRET_ID)?.ok_or("it has no file secretId")?;
    let key = read(SECRET_KEY)?.ok_or("it has no file secretKey")?;
    let token = read(TOKEN)?.filter(|token| !token.is_empty());
    Credentials::new(id.to_string(), key, token).map_err(str::to_owned)
}

fn read_profile(path: &Path) -> Result<Credentials, String> {
    let text = read_text(path).map_err(|error| format!("cannot read it: {error}"))?;
    parse_profile(&text)
}

/// The section `[default]`: `name = value`, without quotes; `#` and `;` begin comments.
fn parse_profile(text: &str) -> Result<Credentials, String> {
    let mut found = [None, None, None];
    let mut section = "";
    let mut sections = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim();
            sections += usize::from(section == "default");
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {} is no section, comment or name = value", number + 1))?;
        if section != "default" {
            continue;
        }
        let slot = match name.trim() {
            "secret_id" => 0,
            "secret_key" => 1,
            "token" => 2,
            _ => continue, // role_arn and others, of other programs
        };
        let value = Zeroizing::new(value.trim().to_owned());
        if found[slot].replace(value).is_some() {
            return Err(format!("line {}: {} stands twice", number + 1, name.trim()));
        }
    }
    if sections == 0 {
        return Err("it has no section [default]".to_owned());
    }
    let [id, key, token] = found;
    let id = id.ok_or("it has no secret_id under [default]")?;
    let key = key.ok_or("it has no secret_key under [default]")?;
    Credentials::new(id.to_string(), key, token.filter(|token| !token.is_empty())).map_err(str::to_owned)
}

/// A small text file, without the byte order mark that some editors put first. It is wiped.
pub(super) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = files::open(path)?;
    let (bytes, _) = files::read(&file, MAX_LEN).map_err(|error| match error {
        ReadError::Io(error) => error,
        ReadError::NotRegular => io::Error::other(
            "not a regular file (a pipe cannot be used: credentials are read again when their file changes)",
        ),
        error => io::Error::other(error),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))?;
    Ok(Zeroizing::new(
        text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
    ))
}

#[cfg(test)]
mod tests;
