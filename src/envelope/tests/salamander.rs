//! AES-GCM does not commit to its key: one ciphertext can decrypt under two keys to two plaintexts, and anyone who
//! can replace the wrapped data key chooses which one ("invisible salamanders", eprint 2019/016; CVE-2020-8897 and
//! CVE-2025-14762 are examples). This test constructs such a ciphertext; the commitment refuses it.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::super::cipher::{decrypt_frame, frame};
use super::super::keys::KeySchedule;
use super::super::transcript;
use super::support::{FakeKms, draft, place, random_key, seal};
use crate::envelope::{Binding, Document, Scope, Stage};

const NONCE: [u8; 12] = *b"salamander12";

/// Multiplication in GF(2^128) (NIST SP 800-38D section 6.3). The first bit of a block is the top bit of the number.
fn multiply(x: u128, y: u128) -> u128 {
    const R: u128 = 0xe1 << 120;
    let mut product = 0;
    let mut shifted = y;
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ if shifted & 1 == 1 { R } else { 0 };
    }
    product
}

/// The multiplicative identity: only the first bit is set.
const ONE: u128 = 1 << 127;

fn power(x: u128, exponent: u128) -> u128 {
    (0..128).rev().fold(ONE, |acc, bit| {
        let squared = multiply(acc, acc);
        if exponent >> bit & 1 == 1 {
            multiply(squared, x)
        } else {
            squared
        }
    })
}

/// x^(2^128 - 2)
fn inverse(x: u128) -> u128 {
    power(x, u128::MAX - 1)
}

fn blocks(bytes: &[u8]) -> Vec<u128> {
    bytes
        .chunks(16)
        .map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_be_bytes(block)
        })
        .collect()
}

fn encrypt_block(key: &[u8; 32], block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

fn counter_block(counter: u32) -> u128 {
    let mut block = [0; 16];
    block[..12].copy_from_slice(&NONCE);
    block[12..].copy_from_slice(&counter.to_be_bytes());
    u128::from_be_bytes(block)
}

/// GHASH of associated data and ciphertext.
fn ghash(key: &[u8; 32], aad: &[u8], ciphertext: &[u128]) -> u128 {
    let h = encrypt_block(key, 0);
    let lengths = (aad.len() as u128 * 8) << 64 | (ciphertext.len() as u128 * 128);
    let all = blocks(aad)
        .into_iter()
        .chain(ciphertext.iter().copied())
        .chain([lengths]);
    all.fold(0, |acc, block| multiply(acc ^ block, h))
}

/// Returns a ciphertext and tag that decrypt under both keys. Under the first key, the plaintext is `frame` except
/// for the block `free`, which is solved for so that both tags are equal.
fn salamander(one: &[u8; 32], two: &[u8; 32], aad: &[u8], frame: &[u8], free: usize) -> Vec<u8> {
    let mut ciphertext: Vec<u128> = (2..)
        .zip(blocks(frame))
        .map(|(counter, block)| block ^ encrypt_block(one, counter_block(counter)))
        .collect();
    ciphertext[free] = 0;
    let tag = |key, ciphertext: &[u128]| ghash(key, aad, ciphertext) ^ encrypt_block(key, counter_block(1));
    // GHASH multiplies a block by H to the power of the number of blocks from it to the end, including the lengths.
    let exponent = (ciphertext.len() - free + 1) as u128;
    let weight = |key| power(encrypt_block(key, 0), exponent);
    let difference = tag(one, &ciphertext) ^ tag(two, &ciphertext);
    ciphertext[free] = multiply(difference, inverse(weight(one) ^ weight(two)));
    let tag = tag(one, &ciphertext);
    ciphertext
        .iter()
        .chain([&tag])
        .flat_map(|block| block.to_be_bytes())
        .collect()
}

#[test]
fn ciphertext_valid_under_two_keys_opens_only_under_the_committed_key() {
    let (one, two) = (random_key(), random_key());
    let mut spec = seal(draft(&[("a", &[b'x'; 100])]), &one).spec().clone();
    let binding = Binding::new(Scope::Strict, None, "prod", "db");
    let schedule = KeySchedule::new(&one, &spec.id, &binding);
    let (value_key_one, info) = schedule.value_key("a");
    let (value_key_two, _) = KeySchedule::new(&two, &spec.id, &binding).value_key("a");

    let sealed = salamander(&value_key_one, &value_key_two, &info, &frame(&[b'x'; 100], 0), 3);
    let under_one = decrypt_frame(&value_key_one, &NONCE, &info, &sealed).expect("valid under the first key");
    let under_two =
        decrypt_frame(&value_key_two, &NONCE, &info, &sealed).expect("valid under the second key");
    assert_ne!(under_one[..], under_two[..], "one ciphertext, two plaintexts");

    spec.encrypted_data.get_mut("a").expect("a").payload = [&NONCE[..], &sealed].concat();
    spec.seal.mac = transcript::seal_mac(&schedule, &transcript::transcript(&spec, &binding));
    let document = || Document::new(spec.clone(), place()).expect("structurally valid");
    let opened = FakeKms::unwrapping(&one)
        .open(document())
        .expect("the committed key opens");
    assert_eq!(opened.entries()["a"].expose()[..44], [b'x'; 44]);
    let error = FakeKms::unwrapping(&two)
        .open(document())
        .err()
        .expect("the other key is refused");
    assert_eq!(error.stage(), Stage::Commitment);
}
