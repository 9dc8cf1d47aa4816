//! The form of a ciphertext, and whether it is tamper-evident.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope_secrets::kms::Class;

use crate::table::{Answer, Holds, Table};
use crate::{Account, Sealed, context};

const NO_DIFFERENCE: &str = "refusals are indistinguishable: the document binds itself";
const SEPARATOR: &str = "-k-";

/// The three parts of a ciphertext.
type Parts = [Vec<u8>; 3];

pub(crate) async fn check(account: &Account, table: &mut Table) {
    let shape = "form of a ciphertext";
    table.add(
        shape,
        "text of at most 4096 characters, kept verbatim",
        form(account).await,
    );
    let shown = "what two ciphertexts reveal of their contexts";
    table.add(
        shown,
        "anything: contexts are not secret",
        revealed(account).await,
    );
    for (part, bytes) in [
        (0, &[0, 31, 63][..]),
        (1, &[0, 8, 15]),
        (2, &[0, 4, 12, 19, 20, 36, 52, 67]),
    ] {
        let question = format!("bit flipped in part {} of a ciphertext", part + 1);
        table.add(&question, NO_DIFFERENCE, flipped(account, part, bytes).await);
    }
    let moved = "part 2 from a ciphertext with another context, opened with that context";
    table.add(moved, NO_DIFFERENCE, transplanted(account).await);
}

pub(crate) fn parts(blob: &str) -> Option<Parts> {
    let parts = blob.split(SEPARATOR).map(|part| STANDARD.decode(part).ok());
    parts.collect::<Option<Vec<_>>>()?.try_into().ok()
}

pub(crate) fn joined(parts: &Parts) -> String {
    parts
        .iter()
        .map(|part| STANDARD.encode(part))
        .collect::<Vec<_>>()
        .join(SEPARATOR)
}

/// The answer if a ciphertext does not have three parts.
pub(crate) fn other_shape() -> (String, Holds) {
    (
        "not checked: a ciphertext has another form".to_owned(),
        Holds::Open,
    )
}

/// The answer for a ciphertext that was changed in this part, from 0. Any result is safe if refusals are indistinguishable:
/// all must be integrity failures. The first part names the KMS key, which may not exist then.
pub(crate) fn tampered(opened: Answer<String>, sealed: &Sealed, part: usize) -> Answer<(String, Holds)> {
    let is_refusal = |class| class == Class::Integrity || (part == 0 && class == Class::NotFound);
    match opened {
        Ok(text) if text == sealed.plaintext => {
            Ok(("opens to the same data key".to_owned(), Holds::EitherWay))
        }
        Ok(_) => Ok(("opens to another data key".to_owned(), Holds::EitherWay)),
        Err(failure) if failure.is_no_answer() => Err(failure),
        Err(failure) if is_refusal(failure.class) => Ok((failure.to_cell(), Holds::EitherWay)),
        Err(failure) => Ok((failure.to_cell(), Holds::No)),
    }
}

async fn form(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("one")).await?;
    let length = sealed.blob.len();
    let answer = match parts(&sealed.blob) {
        Some([a, b, c]) => format!(
            "{length} characters: {} + {} + {} bytes in base64, separated by {SEPARATOR}",
            a.len(),
            b.len(),
            c.len()
        ),
        None => format!("{length} characters, not three parts of base64 separated by {SEPARATOR}"),
    };
    // The client itself rejects a ciphertext that does not fit into a document.
    Ok((answer, Holds::when(length <= 4096)))
}

async fn revealed(account: &Account) -> Answer<(String, Holds)> {
    let one = account.seal(&context("one")).await?;
    let same = account.seal(&context("one")).await?;
    let two = account.seal(&context("two")).await?;
    let (Some(one), Some(same), Some(two)) = (parts(&one.blob), parts(&same.blob), parts(&two.blob)) else {
        return Ok(other_shape());
    };
    let compared = |a: &Parts, b: &Parts| {
        let equal = (0..3)
            .filter(|part| a[*part] == b[*part])
            .map(|part| (part + 1).to_string());
        let equal: Vec<String> = equal.collect();
        if equal.is_empty() {
            "none".to_owned()
        } else {
            equal.join(", ")
        }
    };
    let answer = format!(
        "equal parts with one context: {}; with two contexts: {}",
        compared(&one, &same),
        compared(&one, &two)
    );
    Ok((answer, Holds::EitherWay))
}

async fn flipped(account: &Account, part: usize, bytes: &[usize]) -> Answer<(String, Holds)> {
    let context = context("flipped");
    let sealed = account.seal(&context).await?;
    let Some(whole) = parts(&sealed.blob) else {
        return Ok(other_shape());
    };
    let mut answers: Vec<(String, Vec<String>)> = Vec::new();
    let mut all = Holds::EitherWay;
    for &byte in bytes.iter().filter(|byte| **byte < whole[part].len()) {
        let mut changed = whole.clone();
        changed[part][byte] ^= 1;
        let opened = account.open(&joined(&changed), Some(context.as_str())).await;
        let (answer, holds) = tampered(opened, &sealed, part)?;
        if holds == Holds::No {
            all = holds;
        }
        match answers.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, bytes)) => bytes.push(byte.to_string()),
            None => answers.push((answer, vec![byte.to_string()])),
        }
    }
    let cells = answers
        .into_iter()
        .map(|(answer, bytes)| format!("byte {}: {answer}", bytes.join(", ")));
    Ok((cells.collect::<Vec<_>>().join("; "), all))
}

async fn transplanted(account: &Account) -> Answer<(String, Holds)> {
    let (one, two) = (context("one"), context("two"));
    let sealed = account.seal(&one).await?;
    let other = account.seal(&two).await?;
    let (Some(mut whole), Some(other)) = (parts(&sealed.blob), parts(&other.blob)) else {
        return Ok(other_shape());
    };
    whole[1].clone_from(&other[1]);
    tampered(
        account.open(&joined(&whole), Some(two.as_str())).await,
        &sealed,
        1,
    )
}
