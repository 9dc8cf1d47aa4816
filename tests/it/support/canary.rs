//! The canary: planted plaintexts never appear in logs, events, status, metrics, error texts or panics, in any encoding.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use envelope_secrets::telemetry::{self, LogFormat, LogLevel};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};

use super::controller::resource;

/// All log lines, at every level, and all panics of this process.
static LOGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to record the logs and panics of this process.
pub(crate) fn capture_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = telemetry::subscriber(LogFormat::Json, LogLevel::Trace, || Log);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let _ = writeln!(Log, "{info}");
            before(info);
        }));
    });
}

/// Returns everything logged so far.
pub(crate) fn logs() -> String {
    String::from_utf8_lossy(&LOGS.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// Returns the log lines so far that contain all of these texts.
pub(crate) fn logged(texts: &[&str]) -> Vec<String> {
    let all = logs();
    all.lines()
        .filter(|line| texts.iter().all(|text| line.contains(text)))
        .map(str::to_owned)
        .collect()
}

/// The values planted by one test.
pub(crate) struct Canary {
    planted: Mutex<BTreeSet<String>>,
}

impl Canary {
    pub(crate) fn new() -> Self {
        capture_logs();
        Canary {
            planted: Mutex::new(BTreeSet::new()),
        }
    }

    /// Plants a value. Values of fewer than 8 characters are ignored: they may appear anywhere by chance.
    pub(crate) fn plant(&self, value: &str) {
        if value.len() >= 8 {
            self.planted.lock().unwrap().insert(value.to_owned());
        }
    }

    /// Searches logs, panics, events, the objects and `more` for planted values.
    pub(crate) async fn check(&self, client: &Client, namespace: &str, more: &[String]) {
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource());
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let objects = objects.list(&ListParams::default()).await.unwrap().items;
        let mut texts = vec![
            ("logs", logs()),
            ("events", serde_json::to_string(&events).unwrap()),
            ("objects", serde_json::to_string(&objects).unwrap()),
        ];
        texts.extend(more.iter().map(|text| ("metrics", text.clone())));
        for value in self.planted.lock().unwrap().iter() {
            for form in forms(value.as_bytes()) {
                for (place, text) in &texts {
                    assert!(!text.contains(&form), "a planted value appears in the {place}");
                }
            }
        }
    }
}

/// Returns the forms in which a value may leak: as is, in upper- and lower-case hex, in both base64 alphabets at each of the
/// three offsets in a longer text, and as a list of numbers, the Debug output of bytes.
pub(crate) fn forms(value: &[u8]) -> Vec<String> {
    let hex = envelope_secrets::envelope::encoding::to_hex(value);
    let numbers: Vec<String> = value.iter().map(u8::to_string).collect();
    let mut forms = vec![
        String::from_utf8_lossy(value).into_owned(),
        hex.to_uppercase(),
        hex,
        numbers.join(", "),
    ];
    forms.push(numbers.join(","));
    for shift in 0..3 {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(value);
        // The characters at both ends depend on adjacent bytes.
        let skip = [0, 2, 3][shift];
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            let end = text.len() - usize::from(padded.len() % 3 != 0);
            forms.push(text[skip..end].to_owned());
        }
    }
    forms
}

#[test]
fn leaked_value_is_found_in_every_encoding() {
    let value = b"planted-\xff\xfevalue";
    for shift in 0..6 {
        let mut longer = vec![b'x'; shift];
        longer.extend_from_slice(value);
        longer.extend_from_slice(b"tail");
        for text in [
            STANDARD_NO_PAD.encode(&longer),
            URL_SAFE_NO_PAD.encode(&longer),
            format!("{longer:?}"),
        ] {
            assert!(
                forms(value).iter().any(|form| text.contains(form)),
                "{shift}: {text}"
            );
        }
    }
    assert!(!forms(value).iter().any(|form| "another text".contains(form)));
}
