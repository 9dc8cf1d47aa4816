use std::os::unix::fs::symlink;

use super::*;
use crate::files;

fn profile(text: &str) -> Result<(String, String, Option<String>), String> {
    parse_profile(text).map(|found| {
        let token = found.token.map(|token| token.to_string());
        (found.secret_id, found.secret_key.to_string(), token)
    })
}

#[test]
fn profile_is_read_from_the_default_section() {
    let plain = ("id".to_owned(), "key".to_owned(), None);
    for text in [
        "[default]\nsecret_id=id\nsecret_key=key",
        "# mine\n[other]\nsecret_id = no\n\n[default]\n  secret_id = id  \r\n; x\nsecret_key =key\nrole_arn = qcs::r\n[last]\nsecret_id = no\n",
        "[default]\nsecret_id=id\nsecret_key=key\ntoken=\n",
    ] {
        assert_eq!(profile(text), Ok(plain.clone()), "{text}");
    }
    let with_token = profile("[default]\nsecret_id=id\nsecret_key=key\ntoken=a=b==\n");
    assert_eq!(
        with_token,
        Ok(("id".to_owned(), "key".to_owned(), Some("a=b==".to_owned())))
    );
    for (text, why) in [
        ("", "it has no section [default]"),
        ("secret_id=id\nsecret_key=key", "it has no section [default]"),
        (
            "[default]\nsecret_key=hunter2",
            "it has no secret_id under [default]",
        ),
        ("[default]\nsecret_id=id", "it has no secret_key under [default]"),
        (
            "[default]\nsecret_id=id\nhunter2",
            "line 3 is not a section, a comment or name = value",
        ),
        (
            "[default]\nsecret_key=hunter2\nsecret_key=hunter2",
            "line 3: duplicate secret_key",
        ),
        (
            "[default]\nsecret_id=id\nsecret_key=hunter 2",
            "line 3: secret_key contains a blank",
        ),
        (
            "[default]\nsecret_key=hunter2\nsecret_id='id'",
            "line 3: secret_id has quotes around it",
        ),
        (
            "[default]\nsecret_id=id\nsecret_key=",
            "line 3: secret_key is empty",
        ),
        (
            "[default]\nsecret_id=id\nsecret_key=hunter2\ntoken=\"t\"",
            "line 4: token has quotes around it",
        ),
    ] {
        assert_eq!(profile(text), Err(why.to_owned()), "{text}");
    }
}

fn found(source: &FileSource) -> Result<String, String> {
    match source.load() {
        Lookup::Found(fetched) => Ok(fetched.credentials.secret_id),
        Lookup::NotConfigured(why) => Err(format!("not configured: {why}")),
        Lookup::Failed(error) => Err(format!("failed: {}", error.message)),
    }
}

#[test]
fn configured_path_must_exist_and_a_default_location_need_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("credentials");
    let configured = FileSource::configured(path.clone());
    assert_eq!(
        found(&configured),
        Err(format!("failed: {} does not exist", path.display()))
    );
    let default = FileSource::new(
        Source::Profile,
        vec![path.clone(), directory.path().join("other")],
        false,
    );
    assert!(
        found(&default)
            .expect_err("absent")
            .starts_with("not configured: ")
    );
    fs::write(
        directory.path().join("other"),
        "[default]\nsecret_id=o\nsecret_key=k",
    )
    .expect("written");
    assert_eq!(found(&default).as_deref(), Ok("o"));
    fs::write(&path, "[default]\nsecret_id=i\nsecret_key=k").expect("written");
    assert_eq!(found(&default).as_deref(), Ok("i"), "the first that exists");
    assert_eq!(found(&configured).as_deref(), Ok("i"));
    fs::write(&path, vec![b'#'; 70_000]).expect("written");
    assert!(found(&configured).expect_err("too long").contains("70000 bytes"));
}

#[test]
fn byte_order_mark_is_skipped_and_other_encodings_are_rejected() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("credentials");
    let configured = FileSource::configured(path.clone());
    fs::write(&path, "\u{feff}[default]\r\nsecret_id=i\r\nsecret_key=k\r\n").expect("written");
    assert_eq!(found(&configured).as_deref(), Ok("i"));
    let wide = "\u{feff}[default]".encode_utf16();
    let wide: Vec<u8> = wide.flat_map(u16::to_le_bytes).collect();
    fs::write(&path, wide).expect("written");
    let why = found(&configured).expect_err("UTF-16");
    assert!(why.contains("cannot read it: not valid UTF-8"), "{why}");
    for (name, text) in [("secretId", "\u{feff}id\n"), ("secretKey", "\u{feff}key\n")] {
        fs::write(directory.path().join(name), text).expect("written");
    }
    let directory = FileSource::configured(directory.path().to_owned());
    assert_eq!(found(&directory).as_deref(), Ok("id"));
}

/// A pipe may never get a writer, so reading it could block forever.
#[test]
fn pipe_is_rejected_without_blocking() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    files::pipe(&path);
    let why = found(&FileSource::configured(path.clone())).expect_err("a pipe");
    let expected = format!("{}: cannot read it: not a regular file", path.display());
    assert!(why.contains(&expected), "{why}");
    files::pipe(&directory.path().join("secretId"));
    let why = found(&FileSource::configured(directory.path().to_owned())).expect_err("a pipe");
    assert!(why.contains("cannot read secretId: not a regular file"), "{why}");
}

#[test]
fn profile_is_in_its_variable_else_in_the_home_directory() {
    let paths_of = |set: &[(&str, &str)]| {
        let environment = Environment::from_lookup(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let source = FileSource::profile(&environment);
        (source.paths, source.is_required)
    };
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let etc = "/etc/tencentcloud/credentials";
    assert_eq!(paths_of(&[]), (paths(&[etc]), false));
    assert_eq!(
        paths_of(&[("HOME", "/h")]),
        (paths(&["/h/.tencentcloud/credentials", etc]), false)
    );
    let configured = [("HOME", "/h"), ("TENCENTCLOUD_CREDENTIALS_FILE", "/c")];
    assert_eq!(paths_of(&configured), (paths(&["/c"]), true));
}

#[test]
fn directory_has_an_id_a_key_and_optionally_a_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = FileSource::configured(directory.path().to_owned());
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
    assert!(
        found(&source)
            .expect_err("empty")
            .contains("it has no file secretId")
    );
    write("secretId", " id\n");
    assert!(
        found(&source)
            .expect_err("half")
            .contains("it has no file secretKey")
    );
    write("secretKey", "key\n");
    assert_eq!(found(&source).as_deref(), Ok("id"));
    assert!(!source.has_changed());
    write("token", "t");
    assert!(source.has_changed());
    let token = read_directory(directory.path()).map(|found| found.token.map(|token| token.to_string()));
    assert_eq!(token, Ok(Some("t".to_owned())));
    write("token", "\n");
    assert!(read_directory(directory.path()).is_ok_and(|found| found.token.is_none()));
    assert_eq!(found(&source).as_deref(), Ok("id"));
    fs::remove_file(directory.path().join("secretId")).expect("removed");
    assert!(!source.has_changed(), "the held credentials stay in use");
}

/// The kubelet may move the links of a Secret volume between two reads.
#[test]
fn id_and_key_are_read_from_the_same_revision() {
    let directory = tempfile::tempdir().expect("a directory");
    for revision in ["..1", "..2"] {
        let data = directory.path().join(revision);
        fs::create_dir(&data).expect("made");
        fs::write(data.join("secretId"), format!("id{revision}")).expect("written");
        fs::write(data.join("secretKey"), format!("key{revision}")).expect("written");
    }
    symlink("..2", directory.path().join("..data")).expect("linked");
    // A link that still points to the old revision.
    symlink("..1/secretId", directory.path().join("secretId")).expect("linked");
    symlink("..data/secretKey", directory.path().join("secretKey")).expect("linked");
    let read = read_directory(directory.path()).map(|found| (found.secret_id, found.secret_key.to_string()));
    assert_eq!(read, Ok(("id..2".to_owned(), "key..2".to_owned())));
}
