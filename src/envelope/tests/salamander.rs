//! AES-GCM does not commit to its key: one ciphertext can open under two keys to two texts, and whoever can exchange
//! the wrapped data key chooses which ("invisible salamanders", eprint 2019/016; in the field CVE-2020-8897 and
//! CVE-2025-14762). Here one is built, and the commitment refuses it.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::super::cipher::{frame, open_frame};
use super::super::keys::KeySchedule;
use super::super::manifest;
use super::*;

const NONCE: [u8; 12] = *b"salamander12";

/// GF(2^128) of GCM (NIST SP 800-38D section 6.3): the first bit of a block is the top bit of the number.
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

/// The number 1: its only bit is the first.
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

/// What GHASH makes of associated data and ciphertext.
fn ghash(key: &[u8; 32], aad: &[u8], ciphertext: &[u128]) -> u128 {
    let h = encrypt_block(key, 0);
    let lengths = (aad.len() as u128 * 8) << 64 | (ciphertext.len() as u128 * 128);
    let all = blocks(aad)
        .into_iter()
        .chain(ciphertext.iter().copied())
        .chain([lengths]);
    all.fold(0, |acc, block| multiply(acc ^ block, h))
}

/// A ciphertext with tag that opens under both keys. Under the first it gives `frame`, but for the block `free`.
fn salamander(one: &[u8; 32], two: &[u8; 32], aad: &[u8], frame: &[u8], free: usize) -> Vec<u8> {
    let mut ciphertext: Vec<u128> = (2..)
        .zip(blocks(frame))
        .map(|(counter, block)| block ^ encrypt_block(one, counter_block(counter)))
        .collect();
    ciphertext[free] = 0;
    let tag = |key, ciphertext: &[u128]| ghash(key, aad, ciphertext) ^ encrypt_block(key, counter_block(1));
    // A block counts with H to the number of blocks from it on, the lengths included.
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
fn a_ciphertext_for_two_keys_opens_only_with_the_one_that_was_committed_to() {
    let (one, two) = (key(), key());
    let mut spec = seal(draft(&[("a", &[b'x'; 100])]), &one).spec().clone();
    let binding = Binding::new(Scope::Strict, None, "prod", "db");
    let schedule = KeySchedule::new(&one, &spec.id, &binding);
    let (value_key_one, info) = schedule.value_key("a");
    let (value_key_two, _) = KeySchedule::new(&two, &spec.id, &binding).value_key("a");

    let sealed = salamander(&value_key_one, &value_key_two, &info, &frame(&[b'x'; 100], 0), 3);
    let under_one = open_frame(&value_key_one, &NONCE, &info, &sealed).expect("AES-GCM takes the first key");
    let under_two = open_frame(&value_key_two, &NONCE, &info, &sealed).expect("AES-GCM takes the second key");
    assert_ne!(under_one[..], under_two[..], "one ciphertext, two texts");

    spec.encrypted_data.get_mut("a").expect("a").payload = [&NONCE[..], &sealed].concat();
    spec.seal.mac = manifest::seal_mac(&schedule, &manifest::manifest(&spec, &binding));
    let place = Place::new(Some("prod"), "db").expect("a place");
    let document = || Document::new(spec.clone(), place.clone()).expect("structurally valid");
    let opened = Keys::one(&one).open(document()).expect("the committed key opens");
    assert_eq!(opened.entries()["a"].expose()[..44], [b'x'; 44]);
    let error = Keys::one(&two)
        .open(document())
        .err()
        .expect("the other key is refused");
    assert_eq!(error.stage(), Stage::Commitment);
}
