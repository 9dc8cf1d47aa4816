//! A KMS provider in one file: the program `envelope` with the additional provider `file-kms`.
//!
//! It shows all that a provider needs, and `tests/it/provider_seam.rs` uses it to seal, open, examine keys and run a
//! controller. It is not secure: its KMS is a local file.
//!
//! ```sh
//! head -c 32 /dev/urandom > demo.key
//! cargo run --example custom_provider -- seal -f secret.yaml -w sealed.yaml --key file-kms://demo --file-kms-dir .
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use envelope_secrets::cli;
use envelope_secrets::envelope::{DataKey, EncryptionContext, SecretBytes};
use envelope_secrets::kms::{
    self, Access, AllowedKeys, Caller, Capability, Class, Configured, KeyDescription, KeyUri, Kms, KmsError,
    Provider, ProviderError, Setting, SettingKind, Settings, UriKind, action,
};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use sha2::{Digest as _, Sha256};

/// The flag `--file-kms-dir` and its variable.
const DIR: Setting = Setting {
    flag: "file-kms-dir",
    variable: "ENVELOPE_FILE_KMS_DIR",
    kind: SettingKind::Path("DIR"),
    help: "The directory of the KMS keys: NAME.key for file-kms://NAME",
    details: "",
    advanced: false,
};

/// `file-kms://NAME`: the KMS key in the file `NAME.key`.
struct FileProvider;

impl Provider for FileProvider {
    fn scheme(&self) -> &'static str {
        "file-kms"
    }

    fn title(&self) -> &'static str {
        "File KMS"
    }

    /// Without `GenerateDataKey` and `ReEncrypt`: the defaults of `Kms` need `encrypt` and `decrypt` alone.
    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::BindContext]
    }

    fn classify_uri(&self, uri: &KeyUri) -> UriKind {
        let name = uri.rest();
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) {
            UriKind::Key
        } else {
            UriKind::Nothing
        }
    }

    fn key_form(&self) -> &'static str {
        "write it as file-kms://NAME; the name has lower-case letters only"
    }

    fn setup_advice(&self) -> &'static str {
        "name the directory of the KMS keys with --file-kms-dir DIR"
    }

    fn settings(&self) -> &'static [Setting] {
        &[DIR]
    }

    fn configure(
        &self,
        settings: &Settings,
        allowed: AllowedKeys,
        _caller: Caller,
    ) -> Result<Configured, ProviderError> {
        let dir = settings.path(DIR.flag)?.ok_or_else(|| {
            ProviderError::configuration("the directory of the KMS keys is not set", self.setup_advice())
        })?;
        Ok(Configured::Kms(Arc::new(FileKms { dir, allowed })))
    }
}

/// The configured KMS.
struct FileKms {
    dir: PathBuf,
    allowed: AllowedKeys,
}

impl FileKms {
    fn cipher(&self, key: &KeyUri, action: &'static str) -> Result<Aes256Gcm, KmsError> {
        let path = self.dir.join(Path::new(key.rest()).with_extension("key"));
        let bytes = std::fs::read(&path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            KmsError::new(Class::NotFound, key, action, message)
        })?;
        Ok(Aes256Gcm::new(&Sha256::digest(&bytes)))
    }

    fn wrap(
        &self,
        key: &KeyUri,
        data_key: &DataKey,
        context: &EncryptionContext,
    ) -> Result<String, KmsError> {
        let failed = |why: &str| KmsError::new(Class::Transient, key, action::ENCRYPT, why);
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).map_err(|_| failed("no random bytes"))?;
        let payload = Payload {
            msg: data_key.expose(),
            aad: context.as_str().as_bytes(),
        };
        let sealed = self.cipher(key, action::ENCRYPT)?.encrypt(&nonce.into(), payload);
        let sealed = sealed.map_err(|_| failed("encryption failed"))?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(bytes
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
    }

    fn unwrap(&self, key: &KeyUri, text: &str, context: &EncryptionContext) -> Result<SecretBytes, KmsError> {
        let cipher = self.cipher(key, action::DECRYPT)?;
        let opened = from_hex(text).and_then(|bytes| {
            let (nonce, sealed) = bytes.split_at_checked(12)?;
            let nonce: [u8; 12] = nonce.try_into().ok()?;
            let payload = Payload {
                msg: sealed,
                aad: context.as_str().as_bytes(),
            };
            cipher.decrypt(&nonce.into(), payload).ok()
        });
        opened.map(SecretBytes::new).ok_or_else(|| {
            KmsError::new(
                Class::Integrity,
                key,
                action::DECRYPT,
                "the ciphertext is refused",
            )
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|digit| char::from(digit).to_digit(16));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let pairs = digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair.get(1)?).ok());
    pairs.collect()
}

impl Kms for FileKms {
    fn encrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        data_key: &'a DataKey,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<String, KmsError>> {
        ready(self.wrap(key, data_key, context)).boxed()
    }

    fn decrypt<'a>(
        &'a self,
        key: &'a KeyUri,
        ciphertext: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<SecretBytes, KmsError>> {
        ready(self.unwrap(key, ciphertext, context)).boxed()
    }

    fn describe<'a>(&'a self, key: &'a KeyUri) -> BoxFuture<'a, Result<KeyDescription, KmsError>> {
        let described = self.cipher(key, action::DESCRIBE_KEY).map(|_| KeyDescription {
            uri: key.clone(),
            state: "Enabled".to_owned(),
            default: false,
            rotation: None,
        });
        ready(described).boxed()
    }

    fn allows(&self, key: &KeyUri) -> bool {
        self.allowed.allows(key)
    }

    fn access(&self) -> Access {
        Access::Service {
            credentials: None,
            clock_ahead: None,
        }
    }
}

fn main() -> ExitCode {
    // As src/main.rs does; a failure means that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    kms::register(&FileProvider);
    let argv: Vec<_> = std::env::args_os().collect();
    cli::run(&argv).into()
}
