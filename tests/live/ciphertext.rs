//! What a ciphertext looks like, and whether it can be changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope_secrets::kms::Class;

use crate::table::{Answer, Holds, Table};
use crate::{Account, Sealed, context};

const NOTHING: &str = "nothing but that every refusal counts as one: the document binds itself";
const JOINT: &str = "-k-";

/// The three parts of a ciphertext.
type Parts = [Vec<u8>; 3];

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    let shape = "what does a ciphertext look like";
    table.add(
        shape,
        "text of at most 4096 characters, kept as it came",
        of_shape(account).await,
    );
    let shown = "what do two ciphertexts show of their contexts";
    table.add(shown, "anything: no context holds a secret", shows(account).await);
    for (part, bytes) in [
        (0, &[0, 31, 63][..]),
        (1, &[0, 8, 15]),
        (2, &[0, 4, 12, 19, 20, 36, 52, 67]),
    ] {
        let question = format!("a flipped bit in part {} of a ciphertext", part + 1);
        table.add(&question, NOTHING, flipped(account, part, bytes).await);
    }
    let moved = "part 2 of a ciphertext of another context, opened with that one";
    table.add(moved, NOTHING, transplanted(account).await);
}

pub(crate) fn parts(blob: &str) -> Option<Parts> {
    let parts = blob.split(JOINT).map(|part| STANDARD.decode(part).ok());
    parts.collect::<Option<Vec<_>>>()?.try_into().ok()
}

pub(crate) fn joined(parts: &Parts) -> String {
    parts
        .iter()
        .map(|part| STANDARD.encode(part))
        .collect::<Vec<_>>()
        .join(JOINT)
}

/// The answer where ciphertexts have no three parts.
pub(crate) fn other_shape() -> (String, Holds) {
    (
        "not asked: a ciphertext has another shape".to_owned(),
        Holds::Open,
    )
}

/// Whether a ciphertext opens that was changed in this part, from 0. Any answer is safe, if refusals cannot be told apart:
/// all must count as integrity. The first part names the KMS key, which may not be there.
pub(crate) fn tried(opened: Answer<String>, sealed: &Sealed, part: usize) -> Answer<(String, Holds)> {
    let counts = |class| class == Class::Integrity || (part == 0 && class == Class::NotFound);
    match opened {
        Ok(text) if text == sealed.plaintext => Ok(("it opens to the same key".to_owned(), Holds::EitherWay)),
        Ok(_) => Ok(("it opens to another key".to_owned(), Holds::EitherWay)),
        Err(failure) if failure.is_no_answer() => Err(failure),
        Err(failure) if counts(failure.class) => Ok((failure.told(), Holds::EitherWay)),
        Err(failure) => Ok((failure.told(), Holds::No)),
    }
}

async fn of_shape(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("one")).await?;
    let length = sealed.blob.len();
    let answer = match parts(&sealed.blob) {
        Some([a, b, c]) => format!(
            "{length} characters: {} + {} + {} bytes in base64, joined by {JOINT}",
            a.len(),
            b.len(),
            c.len()
        ),
        None => format!("{length} characters, not three parts of base64 joined by {JOINT}"),
    };
    // The client has refused a text that no document can hold.
    Ok((answer, Holds::when(length <= 4096)))
}

async fn shows(account: &Account) -> Answer<(String, Holds)> {
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
        "equal parts, one context: {}; two contexts: {}",
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
        let (answer, holds) = tried(opened, &sealed, part)?;
        if holds == Holds::No {
            all = holds;
        }
        match answers.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, bytes)) => bytes.push(byte.to_string()),
            None => answers.push((answer, vec![byte.to_string()])),
        }
    }
    let told = answers
        .into_iter()
        .map(|(answer, bytes)| format!("byte {}: {answer}", bytes.join(", ")));
    Ok((told.collect::<Vec<_>>().join("; "), all))
}

async fn transplanted(account: &Account) -> Answer<(String, Holds)> {
    let (one, two) = (context("one"), context("two"));
    let sealed = account.seal(&one).await?;
    let other = account.seal(&two).await?;
    let (Some(mut whole), Some(other)) = (parts(&sealed.blob), parts(&other.blob)) else {
        return Ok(other_shape());
    };
    whole[1].clone_from(&other[1]);
    tried(
        account.open(&joined(&whole), Some(two.as_str())).await,
        &sealed,
        1,
    )
}
