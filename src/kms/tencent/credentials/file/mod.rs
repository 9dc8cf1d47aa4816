//! Credentials in files: a profile (INI), or a directory in the layout of a mounted Secret.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::environment::{self, Environment};
use super::source::{CredentialSource, Fetched, Lookup, Source};
use super::text_file::read_text;
use crate::files::FileVersion;
use crate::kms::tencent::transport::credentials_provider::{Credentials, InvalidCredential, Part};
use crate::sync::lock;

/// The profile in the home directory, and for the whole host.
const HOME_PROFILE: &str = ".tencentcloud/credentials";
const SYSTEM_PROFILE: &str = "/etc/tencentcloud/credentials";

/// The files of a directory: the keys of a Secret.
const SECRET_ID: &str = "secretId";
const SECRET_KEY: &str = "secretKey";
const TOKEN: &str = "token";

/// A file or directory, re-read when it changes.
pub(super) struct FileSource {
    source: Source,
    /// The first one that exists is used.
    paths: Vec<PathBuf>,
    /// Whether one of them must exist.
    is_required: bool,
    /// The stamps of the files that were read last.
    last_read: Mutex<Option<Vec<FileVersion>>>,
}

impl FileSource {
    /// The path in the configuration.
    pub(super) fn configured(path: PathBuf) -> Self {
        FileSource::new(Source::File, vec![path], true)
    }

    /// The profile file: the one that its variable names, else in the default locations.
    pub(super) fn profile(environment: &Environment) -> Self {
        if let Some(path) = environment.text(environment::PROFILE) {
            return FileSource::new(Source::Profile, vec![path.into()], true);
        }
        let home = environment.text(environment::HOME).map(Path::new);
        let paths = home.map(|home| home.join(HOME_PROFILE)).into_iter();
        let paths = paths.chain([PathBuf::from(SYSTEM_PROFILE)]);
        FileSource::new(Source::Profile, paths.collect(), false)
    }

    fn new(source: Source, paths: Vec<PathBuf>, is_required: bool) -> Self {
        FileSource {
            source,
            paths,
            is_required,
            last_read: Mutex::new(None),
        }
    }

    fn existing_path(&self) -> Option<&PathBuf> {
        self.paths.iter().find(|path| path.exists())
    }

    fn load(&self) -> Lookup {
        let Some(path) = self.existing_path() else {
            *lock(&self.last_read) = None;
            let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
            let why = format!("{} does not exist", paths.join(" or "));
            return if self.is_required {
                let advice = "name a credentials file, or a directory with the files secretId and secretKey";
                Lookup::failed(why, advice)
            } else {
                Lookup::NotConfigured(why)
            };
        };
        // Stamped before reading, so that a change in between is noticed next time.
        let stamps = stamps(path);
        let credentials = if path.is_dir() {
            read_directory(path)
        } else {
            read_profile(path)
        };
        *lock(&self.last_read) = stamps;
        match credentials {
            Ok(credentials) => Lookup::Found(Fetched::permanent(credentials)),
            Err(why) => Lookup::failed(
                format!("{}: {why}", path.display()),
                "write a profile with secret_id and secret_key under [default], or a directory with the files secretId \
                 and secretKey",
            ),
        }
    }
}

impl CredentialSource for FileSource {
    fn source(&self) -> Source {
        self.source
    }

    fn fetch(&self) -> BoxFuture<'_, Lookup> {
        async { self.load() }.boxed()
    }

    fn has_changed(&self) -> bool {
        let last_read = lock(&self.last_read);
        // A missing file has not changed: what it contained stays in use.
        let current = self.existing_path().and_then(|path| stamps(path));
        current.is_some() && *last_read != current
    }
}

/// Returns the stamps of the files that credentials are read from, through all symlinks.
fn stamps(path: &Path) -> Option<Vec<FileVersion>> {
    if !path.is_dir() {
        return FileVersion::of(path).ok().map(|stamp| vec![stamp]);
    }
    let files = [SECRET_ID, SECRET_KEY, TOKEN].map(|name| FileVersion::of(&path.join(name)).ok());
    let [id, key, token] = files;
    Some([id?, key?].into_iter().chain(token).collect())
}

/// Reads a directory. The kubelet replaces all files of a Secret volume in one step by moving the link `..data`: its target
/// is read, so that secret id and key are of the same revision.
fn read_directory(path: &Path) -> Result<Credentials, String> {
    let directory = fs::canonicalize(path.join("..data")).unwrap_or_else(|_| path.to_owned());
    let read = |name: &str| match read_text(&directory.join(name)) {
        Ok(text) => Ok(Some(Zeroizing::new(text.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    };
    let id = read(SECRET_ID)?.ok_or("it has no file secretId")?;
    let key = read(SECRET_KEY)?.ok_or("it has no file secretKey")?;
    let token = read(TOKEN)?.filter(|token| !token.is_empty());
    Credentials::new(id.to_string(), key, token).map_err(|error| {
        let InvalidCredential { part, fault } = error;
        let name = match part {
            Part::SecretId => SECRET_ID,
            Part::SecretKey => SECRET_KEY,
            Part::Token => TOKEN,
        };
        format!("the value in the file {name} {fault}")
    })
}

fn read_profile(path: &Path) -> Result<Credentials, String> {
    let text = read_text(path).map_err(|error| format!("cannot read it: {error}"))?;
    parse_profile(&text)
}

/// Parses the section `[default]` of a profile: lines `name = value` without quotes; `#` and `;` start comments.
fn parse_profile(text: &str) -> Result<Credentials, String> {
    let mut found = [None, None, None];
    let mut lines = [0; 3];
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
            .ok_or_else(|| format!("line {} is not a section, a comment or name = value", number + 1))?;
        if section != "default" {
            continue;
        }
        let slot = match name.trim() {
            "secret_id" => 0,
            "secret_key" => 1,
            "token" => 2,
            _ => continue, // role_arn and others, for other programs
        };
        lines[slot] = number + 1;
        let value = Zeroizing::new(value.trim().to_owned());
        if found[slot].replace(value).is_some() {
            return Err(format!("line {}: duplicate {}", number + 1, name.trim()));
        }
    }
    if sections == 0 {
        return Err("it has no section [default]".to_owned());
    }
    let [id, key, token] = found;
    let id = id.ok_or("it has no secret_id under [default]")?;
    let key = key.ok_or("it has no secret_key under [default]")?;
    let token = token.filter(|token| !token.is_empty());
    Credentials::new(id.to_string(), key, token).map_err(|error| {
        let (line, name) = match error.part {
            Part::SecretId => (lines[0], "secret_id"),
            Part::SecretKey => (lines[1], "secret_key"),
            Part::Token => (lines[2], "token"),
        };
        format!("line {line}: {name} {}", error.fault)
    })
}

#[cfg(test)]
mod tests;
