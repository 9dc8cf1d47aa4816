//! A file that is named, a mounted Secret, a profile; each read again when it changes.

use super::*;

#[tokio::test]
async fn a_file_that_is_named_wins_and_is_read_again_when_it_changes() {
    let mut cloud = Cloud::new();
    let path = cloud.path("credentials");
    fs::write(&path, profile("AKIDfirst")).unwrap();
    // A profile at its usual place and a variable would be no good here.
    fs::create_dir_all(cloud.path("home/.tencentcloud")).unwrap();
    fs::write(cloud.path("home/.tencentcloud/credentials"), profile("AKIDother")).unwrap();
    cloud.only("AKIDfirst", false);
    cloud.seals(&["--tencent-credentials", "credentials"]);
    cloud.refused(&[], &["SecretIdNotFound"]);
    cloud.set("ENVELOPE_TENCENT_CREDENTIALS", &path);
    cloud.seals(&[]);
    let kms = cloud.client_with(TencentSettings {
        credentials: Some(path.clone()),
        ..TencentSettings::default()
    });
    cloud.works(&kms, Source::File).await;
    fs::write(cloud.path("new"), profile("AKIDsecond")).unwrap();
    fs::rename(cloud.path("new"), &path).unwrap();
    cloud.only("AKIDsecond", false);
    cloud.works(&kms, Source::File).await;
    fs::remove_file(&path).unwrap();
    cloud.refused(&[], &["no credentials from file", "credentials is not there"]);
}

#[tokio::test]
async fn a_mounted_secret_is_read_and_read_again_when_the_kubelet_swaps_it() {
    let cloud = Cloud::new();
    let mount = cloud.path("mount");
    mounted(&mount, "..2026_11_25_01", "AKIDfirst", true);
    cloud.only("AKIDfirst", true);
    cloud.seals(&["--tencent-credentials", "mount"]);
    let kms = cloud.client_with(TencentSettings {
        credentials: Some(mount.clone()),
        ..TencentSettings::default()
    });
    cloud.works(&kms, Source::File).await;
    mounted(&mount, "..2026_11_25_02", "AKIDsecond", true);
    fs::remove_dir_all(mount.join("..2026_11_25_01")).unwrap();
    cloud.only("AKIDsecond", true);
    cloud.works(&kms, Source::File).await;
    cloud.seals(&["--tencent-credentials", "mount"]);
}

#[tokio::test]
async fn a_profile_is_found_at_home_and_where_its_variable_says() {
    let mut cloud = Cloud::new();
    cloud.only("AKIDfirst", false);
    fs::create_dir_all(cloud.path("home/.tencentcloud")).unwrap();
    fs::write(cloud.path("home/.tencentcloud/credentials"), profile("AKIDfirst")).unwrap();
    cloud.seals(&[]);
    cloud.works(&cloud.client(), Source::Profile).await;
    cloud.only("AKIDsecond", false);
    fs::write(cloud.path("other"), profile("AKIDsecond")).unwrap();
    let other = cloud.path("other");
    cloud.set("TENCENTCLOUD_CREDENTIALS_FILE", &other);
    cloud.seals(&[]);
}
