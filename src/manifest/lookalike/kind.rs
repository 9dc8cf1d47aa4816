//! Kinds, and names of fields, that a reader could take for another.

/// Longer texts are not compared. Kubernetes allows 63 characters in a kind.
const MAX_CHARS: usize = 256;

/// Reports whether a reader could take a kind or a field's name for `word` (ASCII): in any letter case, with one typing error, and with any
/// characters that are invisible or may look like a letter of it.
///
/// Nothing outside ASCII is a valid part of a kind or a field's name, so this needs no tables: every such character may be any letter or
/// none.
pub(super) fn resembles(text: &str, word: &str) -> bool {
    let trimmed = text.trim();
    let printable = trimmed.bytes().all(|b| b.is_ascii_graphic());
    if printable && trimmed.len().abs_diff(word.len()) > 1 {
        return false;
    }
    let own: Vec<char> = trimmed
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .take(MAX_CHARS + 1)
        .collect();
    own.len() <= MAX_CHARS && distance(&own, word) <= 1
}

/// Reports whether Kubernetes allows this as the kind of an object: a DNS label in any letter case.
pub(super) fn is_valid(kind: &str) -> bool {
    kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The number of letters to insert, remove, replace or swap with the next one (optimal string alignment). Doubtful
/// characters are free.
fn distance(own: &[char], word: &str) -> usize {
    let word: Vec<char> = word.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=word.len()).collect();
    for (at, c) in own.iter().enumerate() {
        let price = usize::from(!is_doubtful(*c));
        let mut row = vec![last[0] + price];
        for (index, letter) in word.iter().enumerate() {
            let replaced = last[index] + if c == letter { 0 } else { price };
            let mut best = replaced.min(last[index + 1] + price).min(row[index] + 1);
            let swapped = at > 0 && index > 0 && *c == word[index - 1] && own[at - 1] == *letter;
            if swapped {
                best = best.min(before[index - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[word.len()]
}

/// Invisible, or possibly a look-alike of a Latin letter. Chinese, Japanese and Korean characters are not.
fn is_doubtful(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || (!c.is_ascii() && c < '\u{2e80}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}' | '\u{e0000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_look_like_secret_are_recognized() {
        for kind in [
            "Secret",
            "SECRET",
            " secret\t",
            "Secrets",
            "Secert",
            "S3cret",
            "Secre",
            "Secret.",
            "Secret\u{200b}",
            "Se\u{ad}cr\u{2060}et",
            "\u{ff33}\u{ff45}\u{ff43}\u{ff52}\u{ff45}\u{ff54}",
            "\u{405}\u{435}\u{441}ret",
            "\u{1d412}ecret",
            "Se\u{301}cret",
            "Sec\u{0}ret",
        ] {
            assert!(resembles(kind, "secret"), "{kind:?}");
        }
    }

    #[test]
    fn other_kinds_are_not_secrets() {
        for kind in [
            "ConfigMap",
            "ExternalSecret",
            "SealedSecret",
            "EnvelopeSecret",
            "VaultStaticSecret",
            "SecretStore",
            "SecretList",
            "SopsSecret",
            "Service",
            "Sector",
            "\u{5bc6}\u{7801}\u{7ba1}\u{7406}\u{7cfb}\u{7edf}",
            "",
            "Set",
        ] {
            assert!(!resembles(kind, "secret"), "{kind:?}");
        }
        assert!(!resembles(&"\u{200b}".repeat(300), "secret"));
        assert!(is_valid("ConfigMap") && is_valid("X-1"));
        assert!(!is_valid("Secret\u{200b}") && !is_valid("a b") && !is_valid(""));
    }
}
