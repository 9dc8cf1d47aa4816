use std::os::unix::fs::symlink;

use super::*;

fn profile(text: &str) -> Result<(String, String, Option<String>), String> {
    parse_profile(text).map(|found| {
        let token = found.token.map(|token| token.to_string());
        (found.secret_id, found.secret_key.to_string(), token)
    })
}

#[test]
fn a_profile_is_the_section_default() {
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
            "line 3 is no section, comment or name = value",
        ),
        (
            "[default]\nsecret_key=hunter2\nsecret_key=hunter2",
            "line 3: secret_key stands twice",
        ),
        (
            "[default]\nsecret_id=id\nsecret_key=hunter 2",
            "the secret key is empty or has blanks or other stray characters",
        ),
    ] {
        assert_eq!(profile(text), Err(why.to_owned()), "{text}");
    }
}

fn found(source: &FileSource) -> Result<String, String> {
    match source.load() {
        Found::Credentials(fetched) => Ok(fetched.credentials.secret_id),
        Found::Absent(why) => Err(format!("absent: {why}")),
        Found::Unusable(trouble) => Err(format!("unusable: {}", trouble.why)),
    }
}

#[test]
fn a_named_place_must_be_there_and_a_usual_one_need_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials");
    let named = FileSource::named(path.clone());
    assert_eq!(
        found(&named),
        Err(format!("unusable: {} is not there", path.display()))
    );
    let usual = FileSource::new(
        Source::Profile,
        vec![path.clone(), folder.path().join("other")],
        false,
    );
    assert!(found(&usual).expect_err("absent").starts_with("absent: "));
    fs::write(
        folder.path().join("other"),
        "[default]\nsecret_id=o\nsecret_key=k",
    )
    .expect("written");
    assert_eq!(found(&usual).as_deref(), Ok("o"));
    fs::write(&path, "[default]\nsecret_id=i\nsecret_key=k").expect("written");
    assert_eq!(found(&usual).as_deref(), Ok("i"), "the first that is there");
    assert_eq!(found(&named).as_deref(), Ok("i"));
    fs::write(&path, vec![b'#'; 70_000]).expect("written");
    assert!(found(&named).expect_err("too long").contains("70000 bytes"));
}

/// As an editor of another system leaves it.
#[test]
fn a_byte_order_mark_is_passed_over_and_other_encodings_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials");
    let named = FileSource::named(path.clone());
    fs::write(&path, "\u{feff}[default]\r\nsecret_id=i\r\nsecret_key=k\r\n").expect("written");
    assert_eq!(found(&named).as_deref(), Ok("i"));
    let wide = "\u{feff}[default]".encode_utf16();
    let wide: Vec<u8> = wide.flat_map(u16::to_le_bytes).collect();
    fs::write(&path, wide).expect("written");
    let why = found(&named).expect_err("UTF-16");
    assert!(why.contains("cannot read it: it is no text in UTF-8"), "{why}");
    for (name, text) in [("secretId", "\u{feff}id\n"), ("secretKey", "\u{feff}key\n")] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let folder = FileSource::named(folder.path().to_owned());
    assert_eq!(found(&folder).as_deref(), Ok("id"));
}

/// Nobody may ever write to a pipe: the program must not wait for it.
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    files::pipe(&path);
    let why = found(&FileSource::named(path.clone())).expect_err("a pipe");
    let said = format!("{}: cannot read it: not a regular file", path.display());
    assert!(why.contains(&said), "{why}");
    files::pipe(&folder.path().join("secretId"));
    let why = found(&FileSource::named(folder.path().to_owned())).expect_err("a pipe");
    assert!(why.contains("cannot read secretId: not a regular file"), "{why}");
}

#[test]
fn a_variable_names_the_profile_and_home_is_its_usual_place() {
    let places = |set: &[(&str, &str)]| {
        let environment = Environment::from_lookup(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let source = FileSource::profile(&environment);
        (source.places, source.required)
    };
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let etc = "/etc/tencentcloud/credentials";
    assert_eq!(places(&[]), (paths(&[etc]), false));
    assert_eq!(
        places(&[("HOME", "/h")]),
        (paths(&["/h/.tencentcloud/credentials", etc]), false)
    );
    let named = [("HOME", "/h"), ("TENCENTCLOUD_CREDENTIALS_FILE", "/c")];
    assert_eq!(places(&named), (paths(&["/c"]), true));
}

#[test]
fn a_folder_has_an_id_a_key_and_perhaps_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = FileSource::named(folder.path().to_owned());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
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
    assert!(!source.changed());
    write("token", "t");
    assert!(source.changed());
    let token = read_folder(folder.path()).map(|found| found.token.map(|token| token.to_string()));
    assert_eq!(token, Ok(Some("t".to_owned())));
    write("token", "\n");
    assert!(read_folder(folder.path()).is_ok_and(|found| found.token.is_none()));
    assert_eq!(found(&source).as_deref(), Ok("id"));
    fs::remove_file(folder.path().join("secretId")).expect("removed");
    assert!(!source.changed(), "what is gone leaves what was held in use");
}

/// The links of a Secret volume may be moved between two reads.
#[test]
fn id_and_key_are_of_one_revision() {
    let folder = tempfile::tempdir().expect("a folder");
    for revision in ["..1", "..2"] {
        let data = folder.path().join(revision);
        fs::create_dir(&data).expect("made");
        fs::write(data.join("secretId"), format!("id{revision}")).expect("written");
        fs::write(data.join("secretKey"), format!("key{revision}")).expect("written");
    }
    symlink("..2", folder.path().join("..data")).expect("linked");
    // A link that was not moved yet.
    symlink("..1/secretId", folder.path().join("secretId")).expect("linked");
    symlink("..data/secretKey", folder.path().join("secretKey")).expect("linked");
    let read = read_folder(folder.path()).map(|found| (found.secret_id, found.secret_key.to_string()));
    assert_eq!(read, Ok(("id..2".to_owned(), "key..2".to_owned())));
}
