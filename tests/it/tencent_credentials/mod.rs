//! The credential sources of Tencent Cloud: the program and the client against the emulator of KMS, STS and the metadata
//! service, with a pod token from a real API server.

mod authorities;
mod cluster;
mod files;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envelope_secrets::kms::KeyUri;
use envelope_secrets::kms::tencent::{
    AssumedRole, Endpoint, Environment, Source, TencentError, TencentKms, TencentSettings,
};
use testkit::kms::{
    Command, Credential, Effect, Emulator, Fault, METADATA, Provider, REGION, ROLE, Role, Trust,
};

use crate::support::until;

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: planted-5k2wz}\n";
const WEB: &str = "AssumeRoleWithWebIdentity";
const AUDIENCE: &str = "sts.cloud.tencent.com";
const LIMIT: Duration = Duration::from_mins(1);

/// An emulator, a directory, and the environment of a process, without credentials at first.
struct Cloud {
    emulator: Emulator,
    directory: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Cloud {
    fn new() -> Self {
        Cloud::of(Emulator::fresh())
    }

    fn of(emulator: Emulator) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut variables = emulator.environment();
        variables.retain(|(name, _)| !name.starts_with("TENCENTCLOUD_SECRET_"));
        variables.push(("HOME", directory.path().join("home").display().to_string()));
        Cloud {
            emulator,
            directory,
            variables,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn set(&mut self, name: &'static str, value: impl AsRef<Path>) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.as_ref().display().to_string()));
    }

    fn order(&self, command: Command) {
        self.emulator.order(command).unwrap();
    }

    /// Makes this the only valid secret id of these tests, with a key and optionally a token derived from it.
    fn accept_only(&self, secret_id: &str, token: bool) {
        for secret_id in ["AKIDfirst", "AKIDsecond"] {
            let secret_id = secret_id.to_owned();
            let _ = self.emulator.order(Command::RemoveCredential { secret_id }); // fails if it does not exist
        }
        self.order(Command::Credential(Credential {
            secret_id: secret_id.to_owned(),
            secret_key: format!("keyOf{secret_id}"),
            token: token.then(|| format!("tokenOf{secret_id}")),
            expires: None,
            actions: None,
        }));
    }

    /// Runs `envelope seal` in this environment. Returns the exit status and standard error.
    fn seal(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_envelope"));
        command.env_clear().arg("seal").args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.directory.path());
        let output = assert_cmd::Command::from_std(command)
            .write_stdin(SECRET)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        for secret in ["keyOf", "tokenOf", "planted"] {
            assert!(!stderr.contains(secret), "{stderr}");
        }
        (output.status.code(), stderr)
    }

    #[track_caller]
    fn seals(&self, args: &[&str]) {
        let (code, stderr) = self.seal(args);
        assert_eq!(code, Some(0), "{stderr}");
    }

    /// Expects exit status 1 and these texts.
    #[track_caller]
    fn fails(&self, args: &[&str], texts: &[&str]) {
        let (code, stderr) = self.seal(args);
        assert_eq!(code, Some(1), "{stderr}");
        for text in texts {
            assert!(stderr.contains(text), "{text:?} is not in: {stderr}");
        }
    }

    /// A client in this environment, as a long-running process has it.
    fn client(&self) -> TencentKms {
        self.client_with(TencentSettings::default())
    }

    fn client_with(&self, settings: TencentSettings) -> TencentKms {
        let endpoint = |text: &str| Some(Endpoint::parse(text, false).unwrap());
        TencentKms::new(TencentSettings {
            endpoint: endpoint(&self.emulator.endpoint()),
            sts_endpoint: endpoint(&self.emulator.endpoint()),
            metadata_endpoint: endpoint(&self.emulator.metadata_endpoint()),
            environment: Environment::from_lookup(|name| {
                let found = self.variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| value.clone())
            }),
            ..settings
        })
        .unwrap()
    }

    async fn describe(&self, kms: &TencentKms) -> Result<(), TencentError> {
        let key = KeyUri::parse(&self.emulator.key_uri()).unwrap();
        kms.describe_key(&key).await.map(|_| ())
    }

    /// Makes a call and checks the source of its credentials.
    async fn assert_source(&self, kms: &TencentKms, source: Source) {
        self.describe(kms).await.unwrap();
        assert_eq!(kms.credentials().map(|held| held.source), Some(source));
    }
}

fn profile(secret_id: &str) -> String {
    format!("[default]\nsecret_id = {secret_id}\nsecret_key = keyOf{secret_id}\n")
}

/// Lays out a Secret like the kubelet: the files are links into `..data`, which is a link to the directory of a revision and
/// is replaced in one step.
fn mount_secret(mount: &Path, revision: &str, secret_id: &str, token: bool) {
    let directory = mount.join(revision);
    fs::create_dir_all(&directory).unwrap();
    let mut files = vec![
        ("secretId", secret_id.to_owned()),
        ("secretKey", format!("keyOf{secret_id}\n")),
    ];
    if token {
        files.push(("token", format!("tokenOf{secret_id}\n")));
    }
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
        let _ = symlink(Path::new("..data").join(name), mount.join(name)); // exists from the second revision on
    }
    symlink(revision, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
}

#[test]
fn environment_credentials_work_with_a_token_under_each_of_its_names() {
    let mut cloud = Cloud::new();
    cloud.accept_only("AKIDfirst", true);
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDfirst");
    cloud.fails(
        &[],
        &["no credentials from environment", "TENCENTCLOUD_SECRET_KEY"],
    );
    cloud.set("TENCENTCLOUD_SECRET_KEY", "keyOfAKIDfirst");
    cloud.fails(&[], &["TokenFailure"]);
    for name in [
        "TENCENTCLOUD_TOKEN",
        "TENCENTCLOUD_SESSION_TOKEN",
        "TENCENTCLOUD_SECURITY_TOKEN",
    ] {
        cloud.set(name, "tokenOfAKIDfirst");
        cloud.seals(&[]);
        cloud.set(name, "");
    }
}

/// A TKE pod with the identity of a `ServiceAccount` of the real API server, which a role trusts.
struct Pod {
    cloud: Cloud,
    namespace: String,
}

impl Pod {
    fn new() -> Self {
        let plane = testkit::shared();
        let namespace = plane.namespace("tke-pod").unwrap();
        for name in ["controller", "other"] {
            plane
                .kubectl(["-n", &namespace, "create", "serviceaccount", name])
                .unwrap();
        }
        let jwks = plane.kubectl(["get", "--raw", "/openid/v1/jwks"]).unwrap();
        let mut cloud = Cloud::new();
        cloud.order(Command::Provider(Provider {
            id: "cls-test".to_owned(),
            issuer: "https://kubernetes.default.svc".to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks: serde_json::from_str(&jwks).unwrap(),
        }));
        cloud.order(Command::Role(Role {
            name: "opener".to_owned(),
            trust: Trust::WebIdentity {
                provider: "cls-test".to_owned(),
                subject: Some(format!("system:serviceaccount:{namespace}:controller")),
            },
            actions: None,
        }));
        let arn = cloud.emulator.role_arn("opener");
        let file = cloud.path("token");
        cloud.set("TKE_REGION", REGION);
        cloud.set("TKE_PROVIDER_ID", "cls-test");
        cloud.set("TKE_ROLE_ARN", arn);
        cloud.set("TKE_WEB_IDENTITY_TOKEN_FILE", file);
        let pod = Pod { cloud, namespace };
        pod.project("controller", AUDIENCE);
        pod
    }

    /// Projects a new token, as the kubelet does.
    fn project(&self, account: &str, audience: &str) {
        let arguments = ["-n", &self.namespace, "create", "token", account, "--audience"];
        let arguments = [&arguments[..], &[audience, "--duration", "10m"]].concat();
        let token = testkit::shared().kubectl(arguments).unwrap();
        fs::write(self.cloud.path("token"), token).unwrap();
    }

    fn exchanges(&self) -> u64 {
        self.cloud.emulator.calls(WEB)
    }
}

#[tokio::test]
async fn pod_token_is_accepted_only_with_the_right_audience_and_subject() {
    let pod = Pod::new();
    pod.cloud.seals(&[]);
    assert_eq!(pod.exchanges(), 1);
    // Even if the pod's token is rejected, the instance's role must not be used.
    pod.cloud.order(Command::MachineRole {
        name: Some("node".to_owned()),
    });
    let fails = |texts: &[&str]| {
        let texts = [&["no credentials from tke-oidc"], texts].concat();
        pod.cloud.fails(&[], &texts);
    };
    pod.project("controller", "https://kubernetes.default.svc");
    let code = "InvalidParameter.WebIdentityTokenError";
    fails(&[code, "audience", "check the audience of the pod's token"]);
    pod.project("other", AUDIENCE);
    let subject = format!("system:serviceaccount:{}:other", pod.namespace);
    fails(&["UnauthorizedOperation", "does not trust", &subject]);
    pod.project("controller", AUDIENCE);
    pod.cloud.seals(&[]);
    // An hour later by the cloud's clock, which the client follows.
    pod.cloud.order(Command::Clock { ahead: 3600 });
    fails(&[code, "expired"]);
    pod.cloud.order(Command::Clock { ahead: 0 });
    fs::remove_file(pod.cloud.path("token")).unwrap();
    fails(&["cannot read the pod's token"]);
    assert_eq!(pod.cloud.emulator.calls(METADATA), 0);
}

#[tokio::test]
async fn pod_credentials_are_renewed_before_expiry_and_after_rejection() {
    let pod = Pod::new();
    let kms = pod.cloud.client();
    pod.cloud.order(Command::Life { seconds: Some(4) });
    pod.cloud.assert_source(&kms, Source::TkeOidc).await;
    let first = kms.credentials().unwrap().expires.unwrap();
    // Without any KMS call.
    until(LIMIT, "the credentials are renewed", async || {
        kms.credentials().unwrap().expires.unwrap() > first + 4
    })
    .await;
    assert!(pod.exchanges() >= 3, "{}", pod.exchanges());
    pod.cloud.assert_source(&kms, Source::TkeOidc).await;
    // Revoked long before they expire.
    pod.cloud.order(Command::Life { seconds: None });
    let kms = pod.cloud.client();
    pod.cloud.assert_source(&kms, Source::TkeOidc).await;
    pod.project("controller", AUDIENCE);
    pod.cloud.order(Command::ExpireTemporary);
    let before = pod.exchanges();
    pod.cloud.assert_source(&kms, Source::TkeOidc).await;
    assert!(pod.exchanges() > before);
}

#[tokio::test]
async fn instance_role_is_used_only_without_other_sources() {
    let cloud = Cloud::new();
    let none = ["no Tencent Cloud credentials found", "the instance has no role"];
    cloud.fails(&[], &none);
    cloud.order(Command::MachineRole {
        name: Some("node".to_owned()),
    });
    cloud.seals(&[]);
    let kms = cloud.client();
    cloud.assert_source(&kms, Source::CvmRole).await;
    let held = kms.credentials().expect("held");
    assert_eq!(held.role.as_deref(), Some("node"));
    cloud.order(Command::ExpireTemporary);
    cloud.assert_source(&kms, Source::CvmRole).await;
    let code = "InternalError".to_owned();
    cloud
        .emulator
        .fault(Fault::new(Effect::Error { code }).action(METADATA));
    let texts = ["no credentials from cvm-role", "responded InternalError"];
    cloud.fails(&[], &texts);
}

#[tokio::test]
async fn role_is_assumed_with_other_credentials() {
    let mut cloud = Cloud::new();
    cloud.order(Command::Role(Role {
        name: "sealer".to_owned(),
        trust: Trust::Account {
            external_id: Some("id-7".to_owned()),
        },
        actions: Some(vec!["GenerateDataKey".to_owned(), "DescribeKey".to_owned()]),
    }));
    // These credentials may only assume the role.
    cloud.order(Command::Credential(Credential {
        secret_id: "AKIDfirst".to_owned(),
        secret_key: "keyOfAKIDfirst".to_owned(),
        token: None,
        expires: None,
        actions: Some(vec!["AssumeRole".to_owned()]),
    }));
    cloud.set("TENCENTCLOUD_SECRET_ID", "AKIDfirst");
    cloud.set("TENCENTCLOUD_SECRET_KEY", "keyOfAKIDfirst");
    let arn = cloud.emulator.role_arn("sealer");
    cloud.seals(&["--tencent-role-arn", &arn, "--tencent-external-id", "id-7"]);
    assert_eq!(cloud.emulator.calls("AssumeRole"), 1);
    let cannot = format!("cannot assume the role {arn}");
    cloud.fails(&["--tencent-role-arn", &arn], &[&cannot, "UnauthorizedOperation"]);
    let none = cloud.emulator.role_arn("none");
    cloud.fails(&["--tencent-role-arn", &none], &["ResourceNotFound.RoleNotFound"]);
    let kms = cloud.client_with(TencentSettings {
        role: Some(AssumedRole {
            arn: arn.clone(),
            external_id: Some("id-7".to_owned()),
        }),
        ..TencentSettings::default()
    });
    cloud.assert_source(&kms, Source::Environment).await;
    assert!(kms.credentials().unwrap().assumed_role);
    cloud.order(Command::ExpireTemporary);
    cloud.assert_source(&kms, Source::Environment).await;
    assert_eq!(cloud.emulator.calls("AssumeRole"), 5);
    // If the base credentials change while the role cannot be assumed, the change is retried.
    let path = cloud.path("base");
    fs::write(&path, profile("AKIDfirst")).unwrap();
    let kms = cloud.client_with(TencentSettings {
        credentials: Some(path.clone()),
        role: Some(AssumedRole {
            arn: arn.clone(),
            external_id: Some("id-7".to_owned()),
        }),
        ..TencentSettings::default()
    });
    cloud.assert_source(&kms, Source::File).await;
    let code = "UnauthorizedOperation".to_owned();
    cloud
        .emulator
        .fault(Fault::new(Effect::Error { code }).action("AssumeRole").times(1));
    fs::write(&path, format!("{}\n", profile("AKIDfirst"))).unwrap();
    let before = cloud.emulator.calls("AssumeRole");
    cloud.assert_source(&kms, Source::File).await; // with the held credentials
    until(LIMIT, "the role is assumed again", async || {
        cloud.assert_source(&kms, Source::File).await;
        cloud.emulator.calls("AssumeRole") == before + 2
    })
    .await;
    // The emulator's own role requires no external id. Assumed with an instance's role, as on a node.
    cloud
        .variables
        .retain(|(name, _)| !name.starts_with("TENCENTCLOUD_SECRET_"));
    cloud.order(Command::MachineRole {
        name: Some("node".to_owned()),
    });
    let plain = cloud.emulator.role_arn(ROLE);
    cloud.seals(&["--tencent-role-arn", &plain]);
    assert_eq!(cloud.emulator.calls(METADATA), 2);
}
