//! Configured files, mounted Secrets and profiles, and their reload after a change.

use super::*;

#[tokio::test]
async fn configured_file_wins_and_is_reloaded_after_a_change() {
    let mut cloud = Cloud::new();
    let path = cloud.path("credentials");
    fs::write(&path, profile("AKIDfirst")).unwrap();
    // The profile in the home directory has credentials that are not valid.
    fs::create_dir_all(cloud.path("home/.tencentcloud")).unwrap();
    fs::write(cloud.path("home/.tencentcloud/credentials"), profile("AKIDother")).unwrap();
    cloud.accept_only("AKIDfirst", false);
    cloud.seals(&["--tencent-credentials", "credentials"]);
    cloud.fails(&[], &["SecretIdNotFound"]);
    cloud.set("ENVELOPE_TENCENT_CREDENTIALS", &path);
    cloud.seals(&[]);
    let kms = cloud.client_with(TencentSettings {
        credentials: Some(path.clone()),
        ..TencentSettings::default()
    });
    cloud.assert_source(&kms, Source::File).await;
    fs::write(cloud.path("new"), profile("AKIDsecond")).unwrap();
    fs::rename(cloud.path("new"), &path).unwrap();
    cloud.accept_only("AKIDsecond", false);
    cloud.assert_source(&kms, Source::File).await;
    fs::remove_file(&path).unwrap();
    cloud.fails(&[], &["no credentials from file", "credentials does not exist"]);
}

#[tokio::test]
async fn mounted_secret_is_reloaded_after_the_kubelet_replaces_it() {
    let cloud = Cloud::new();
    let mount = cloud.path("mount");
    mount_secret(&mount, "..2026_11_25_01", "AKIDfirst", true);
    cloud.accept_only("AKIDfirst", true);
    cloud.seals(&["--tencent-credentials", "mount"]);
    let kms = cloud.client_with(TencentSettings {
        credentials: Some(mount.clone()),
        ..TencentSettings::default()
    });
    cloud.assert_source(&kms, Source::File).await;
    mount_secret(&mount, "..2026_11_25_02", "AKIDsecond", true);
    fs::remove_dir_all(mount.join("..2026_11_25_01")).unwrap();
    cloud.accept_only("AKIDsecond", true);
    cloud.assert_source(&kms, Source::File).await;
    cloud.seals(&["--tencent-credentials", "mount"]);
}

#[tokio::test]
async fn profile_is_found_in_the_home_directory_and_through_its_variable() {
    let mut cloud = Cloud::new();
    cloud.accept_only("AKIDfirst", false);
    fs::create_dir_all(cloud.path("home/.tencentcloud")).unwrap();
    fs::write(cloud.path("home/.tencentcloud/credentials"), profile("AKIDfirst")).unwrap();
    cloud.seals(&[]);
    cloud.assert_source(&cloud.client(), Source::Profile).await;
    cloud.accept_only("AKIDsecond", false);
    fs::write(cloud.path("other"), profile("AKIDsecond")).unwrap();
    let other = cloud.path("other");
    cloud.set("TENCENTCLOUD_CREDENTIALS_FILE", &other);
    cloud.seals(&[]);
}
