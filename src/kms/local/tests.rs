use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::Value;

use super::keyring::tests::line;
use super::*;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::envelope::encoding::{to_base64url, to_hex};
use crate::envelope::{Binding, DataKey, EncryptionContext, Scope};
use crate::kms::{Class, KeyDescription, KeyUri, Kms as _, KmsError};

fn uri(text: &str) -> KeyUri {
    KeyUri::parse(text).expect("a key URI")
}

fn kms_of(text: &str) -> LocalKms {
    LocalKms::from_keyring(Keyring::parse(text.as_bytes()).expect("a keyring"))
}

fn context(name: &str) -> EncryptionContext {
    Binding::new(Scope::Strict, None, "prod", name).context()
}

fn now<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().expect("a local key never waits")
}

fn refused<T>(answer: Result<T, KmsError>) -> KmsError {
    answer.err().expect("refused")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16).expect("hex")).expect("a digit"))
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/es1.json")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// The keyring that the vectors are sealed with.
fn vector_keyring(vectors: &Value) -> String {
    let keys = vectors["localKeyring"].as_array().expect("a list");
    let lines = keys.iter().map(|key| {
        let kid = text(&key["uri"]).strip_prefix("local://").expect("a local key");
        format!(
            "ES-LOCAL-KEY-1 {kid} {}\n",
            to_base64url(&bytes(text(&key["key"])))
        )
    });
    lines.collect()
}

#[test]
fn vector_wraps_unwrap_to_their_data_keys_and_only_under_their_context() {
    let vectors = vectors();
    let kms = kms_of(&vector_keyring(&vectors));
    let mut unwrapped = 0;
    for case in vectors["positive"].as_array().expect("cases") {
        let spec = &case["spec"];
        let binding = Binding::new(
            Scope::parse(text(&spec["scope"])).expect("a scope"),
            spec["audience"].as_str(),
            text(&case["namespace"]),
            text(&case["objectName"]),
        );
        let context = binding.context();
        assert_eq!(
            context.as_str(),
            text(&case["intermediate"]["kmsEncryptionContext"])
        );
        for data_key in spec["dataKeys"].as_array().expect("data keys") {
            let wanted = &case["intermediate"]["dataKeys"][text(&data_key["id"])]["dek"];
            for wrap in data_key["wraps"].as_array().expect("wraps") {
                let (key, ciphertext) = (uri(text(&wrap["key"])), text(&wrap["ciphertext"]));
                if !kms.allows(&key) {
                    continue;
                }
                let found = now(kms.decrypt(&key, ciphertext, &context)).expect("unwrapped");
                assert_eq!(to_hex(found.expose()), text(wanted), "{}", case["name"]);
                let elsewhere = Binding::new(Scope::Strict, Some("elsewhere"), "prod", "db").context();
                let error = refused(now(kms.decrypt(&key, ciphertext, &elsewhere)));
                assert_eq!(error.class, Class::Integrity);
                unwrapped += 1;
            }
        }
    }
    assert!(unwrapped >= 5, "only {unwrapped} wraps were looked at");
}

#[test]
fn vector_wraps_are_reproduced_byte_for_byte() {
    let vectors = vectors();
    let ring = Keyring::parse(vector_keyring(&vectors).as_bytes()).expect("a keyring");
    let case = &vectors["positive"][0];
    let data_key = &case["spec"]["dataKeys"][0];
    let dek = bytes(text(
        &case["intermediate"]["dataKeys"][text(&data_key["id"])]["dek"],
    ));
    let dek = DataKey::from_slice(&dek).expect("32 bytes");
    let wanted = text(&data_key["wraps"][0]["ciphertext"]);
    let kid = Kid::of_uri(&uri(text(&data_key["wraps"][0]["key"]))).expect("a local key");
    let salt = wrap::salt_of(wanted);
    let made = wrap::wrap_with_salt(ring.key(kid).expect("in the ring"), &dek, &context("db"), salt);
    assert_eq!(made, wanted);
}

#[test]
fn first_key_is_the_default_and_every_key_wraps_when_named() {
    let kms = kms_of(&format!("{}\n{}", line(0), line(1)));
    assert_eq!(kms.default_key(), uri("local://fa1975b2"));
    assert_eq!(
        kms.kids().iter().map(Kid::to_string).collect::<Vec<_>>(),
        ["fa1975b2", "41f313f6"]
    );
    for (key, default) in [("local://fa1975b2", true), ("local://41f313f6", false)] {
        let key = uri(key);
        let generated = now(kms.generate_data_key(&key, &context("db"))).expect("generated");
        let opened = now(kms.decrypt(&key, &generated.ciphertext, &context("db"))).expect("opened");
        assert_eq!(opened.expose(), generated.data_key.expose());
        let again = now(kms.encrypt(&key, &generated.data_key, &context("db"))).expect("wrapped");
        assert_ne!(again, generated.ciphertext, "each wrap has a salt of its own");
        assert_eq!(
            now(kms.describe(&key)).expect("described"),
            KeyDescription {
                uri: key.clone(),
                state: "Enabled".to_owned(),
                default,
                rotation: None,
            }
        );
    }
}

#[test]
fn failed_unwrap_is_permanent_and_does_not_repeat_the_ciphertext() {
    let kms = kms_of(&format!("{}\n{}", line(0), line(1)));
    let (key, other) = (uri("local://fa1975b2"), uri("local://41f313f6"));
    let good = now(kms.generate_data_key(&key, &context("db")))
        .expect("generated")
        .ciphertext;
    let encoded = good.strip_prefix("esl1.").expect("a local wrap");
    let flipped = format!(
        "{}{}",
        if encoded.starts_with('A') { "B" } else { "A" },
        &encoded[1..]
    );
    for (key, ciphertext, context) in [
        (&other, good.clone(), context("db")),
        (&key, good.clone(), context("other")),
        (&key, format!("esl1.{flipped}"), context("db")),
        (&key, encoded.to_owned(), context("db")),
        (&key, format!("ESL1.{encoded}"), context("db")),
        (&key, format!("{good}="), context("db")),
        (&key, good[..good.len() - 4].to_owned(), context("db")),
        (&key, "esl1.".to_owned(), context("db")),
        (&key, format!("esl1.{}", to_base64url(&[0; 15])), context("db")),
        (&key, format!("esl1.{}", to_base64url(&[0; 16])), context("db")),
        (&key, "AQICAHh-of-another-kms".to_owned(), context("db")),
    ] {
        let error = refused(now(kms.decrypt(key, &ciphertext, &context)));
        assert_eq!(error.class, Class::Integrity, "{ciphertext}");
        assert!(
            !error.to_string().contains(&ciphertext[5..]) || ciphertext.len() == 5,
            "{error}"
        );
    }
}

#[test]
fn missing_key_is_not_found_rather_than_refused() {
    let kms = kms_of(&line(0));
    let gone = uri("local://41f313f6");
    let data_key = DataKey::random().expect("the OS RNG");
    let context = context("db");
    assert!(!kms.allows(&gone));
    for error in [
        refused(now(kms.decrypt(&gone, "esl1.AA", &context))),
        refused(now(kms.encrypt(&gone, &data_key, &context))),
        refused(now(kms.generate_data_key(&gone, &context))),
        refused(now(kms.describe(&gone))),
    ] {
        assert_eq!(error.class, Class::NotFound, "{error}");
        assert!(
            error.message.contains("does not hold this KMS key") && error.advice().contains("backup"),
            "{error}"
        );
    }
}

#[test]
fn malformed_local_uri_error_shows_the_expected_form() {
    let error = refused(now(kms_of(&line(0)).describe(&uri("local://FA1975B2"))));
    assert_eq!(error.class, Class::NotFound);
    assert_eq!(
        error.to_string(),
        "DescribeKey with local://FA1975B2: the id of a local KMS key is 8 lower-case hex digits"
    );
}

#[test]
fn re_encryption_moves_a_wrap_to_the_other_key_under_the_same_context() {
    let kms = kms_of(&format!("{}\n{}", line(0), line(1)));
    let (old, new) = (uri("local://fa1975b2"), uri("local://41f313f6"));
    let context = context("db");
    let generated = now(kms.generate_data_key(&old, &context)).expect("generated");
    let moved = now(kms.re_encrypt(&old, &generated.ciphertext, &new, &context)).expect("moved");
    let opened = now(kms.decrypt(&new, &moved, &context)).expect("opened");
    assert_eq!(opened.expose(), generated.data_key.expose());
    let error = refused(now(kms.re_encrypt(&new, &generated.ciphertext, &old, &context)));
    assert_eq!((error.class, error.action), (Class::Integrity, "ReEncrypt"));
    let error = refused(now(kms.re_encrypt(
        &old,
        &generated.ciphertext,
        &uri("local://00000000"),
        &context,
    )));
    assert_eq!(
        (error.class, error.key.as_str()),
        (Class::NotFound, "local://00000000")
    );
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
}

fn reloaded(held: &[Kid], added: &[Kid]) -> Refresh {
    Refresh::Reloaded {
        held: held.to_vec(),
        added: added.to_vec(),
    }
}

#[test]
fn changed_file_is_reloaded_and_an_invalid_one_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring");
    private(&path, &line(0));
    let kms = LocalKms::open(&path, FileRules::Person).expect("opened");
    assert_eq!(kms.refresh_if_changed(), Refresh::Unchanged);

    private(&path, &format!("{}\n{}", line(0), line(1)));
    let kids: Vec<Kid> = [line(0), line(1)]
        .iter()
        .map(|l| Kid::parse(&l[15..23]).expect("a kid"))
        .collect();
    assert_eq!(kms.refresh_if_changed(), reloaded(&kids, &kids[1..]));
    assert_eq!(kms.refresh_if_changed(), Refresh::Unchanged);
    assert!(kms.allows(&uri("local://41f313f6")));

    private(&path, "nonsense");
    for _ in 0..2 {
        let Refresh::Failed(error) = kms.refresh_if_changed() else {
            panic!("a bad file is reported each time");
        };
        assert!(matches!(error.problem, Problem::Grammar(_)), "{error}");
    }
    assert_eq!(kms.kids(), kids);

    private(&path, &line(1));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let Refresh::Failed(error) = kms.refresh_if_changed() else {
        panic!("a file that others can read is not used");
    };
    assert_eq!(error.problem, Problem::NotPrivate(0o644));

    fs::remove_file(&path).expect("removed");
    let Refresh::Failed(error) = kms.refresh_if_changed() else {
        panic!("a missing file is reported");
    };
    assert_eq!(error.problem, Problem::Missing);
    assert_eq!(kms.kids(), kids, "still held");

    private(&path, &line(1));
    assert_eq!(kms.refresh_if_changed(), reloaded(&kids[1..2], &[]));
    assert_eq!(kms.default_key(), uri("local://41f313f6"));
}

#[test]
fn unsafe_mode_after_loading_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring");
    private(&path, &line(0));
    let kms = LocalKms::open(&path, FileRules::Person).expect("opened");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
    assert!(
        matches!(kms.refresh_if_changed(), Refresh::Failed(error) if error.problem == Problem::NotPrivate(0o640))
    );
}

#[test]
fn update_of_a_secret_volume_is_noticed() {
    // As kubelet lays it out: keyring -> ..data/keyring, ..data -> ..<time>, replaced by renaming a new ..data.
    let volume = tempfile::tempdir().expect("a folder");
    let at = |name: &str| volume.path().join(name);
    let version = |name: &str, text: &str| {
        fs::create_dir(at(name)).expect("a folder");
        private(&at(name).join("keyring"), text);
        fs::set_permissions(at(name).join("keyring"), Permissions::from_mode(0o440)).expect("chmod");
    };
    version("..one", &line(0));
    symlink("..one", at("..data")).expect("linked");
    symlink("..data/keyring", at("keyring")).expect("linked");
    let kms = LocalKms::open(&at("keyring"), FileRules::Mounted).expect("opened");
    assert!(
        LocalKms::open(&at("keyring"), FileRules::Person).is_err(),
        "0440 is no person's keyring"
    );

    version("..two", &line(1));
    symlink("..two", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    let kids = kms_of(&line(1)).kids();
    assert_eq!(kms.refresh_if_changed(), reloaded(&kids, &kids));
}

#[test]
fn keyring_in_memory_never_changes() {
    assert_eq!(kms_of(&line(0)).refresh_if_changed(), Refresh::Unchanged);
}

#[test]
fn error_names_the_file_and_the_command_that_corrects_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keyring");
    let shown = path.display();
    let mut said = BTreeMap::new();
    for (name, text) in [("missing", None), ("empty", Some("")), ("bad", Some("x"))] {
        if let Some(text) = text {
            private(&path, text);
        }
        let error = LocalKms::open(&path, FileRules::Person).err().expect("refused");
        assert!(
            error.to_string().starts_with(&format!("keyring {shown}: ")),
            "{error}"
        );
        said.insert(name, error.advice());
    }
    assert!(
        said["missing"].contains("envelope keys create --keyring"),
        "{said:?}"
    );
    assert!(
        said["empty"].contains("envelope keys create --keyring"),
        "{said:?}"
    );
    assert!(said["bad"].contains("backup"), "{said:?}");
}
