//! Text from a server, made safe for errors and logs.

/// Characters of a server's message that are kept.
const MAX_MESSAGE_CHARS: usize = 300;
/// Characters of a code or id that are kept.
const MAX_IDENTIFIER_CHARS: usize = 128;

/// Returns a server's message as one line of bounded length, without control characters. A message that repeats one of
/// the `secrets` sent is withheld as a whole.
pub(super) fn one_line(text: &str, secrets: &[&str]) -> String {
    if secrets
        .iter()
        .any(|secret| !secret.is_empty() && text.contains(secret))
    {
        return "the server's message is withheld because it repeats secret input".to_owned();
    }
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE_CHARS)
        .collect();
    if text.chars().count() > MAX_MESSAGE_CHARS {
        line.push('…');
    }
    let line = line.trim();
    if line.is_empty() {
        "no message".to_owned()
    } else {
        line.to_owned()
    }
}

/// Returns an error code, request id or key id up to the first character that such an identifier cannot have.
pub(super) fn identifier(text: &str) -> Box<str> {
    let is_valid = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let valid = text.chars().take_while(is_valid).take(MAX_IDENTIFIER_CHARS);
    valid.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_reduced_to_one_line() {
        assert_eq!(one_line("no\r\nright\u{1b}[31m", &[]), "no  right [31m");
        assert_eq!(one_line(" \n", &[]), "no message");
        assert_eq!(
            one_line(&"x".repeat(1000), &[]).chars().count(),
            MAX_MESSAGE_CHARS + 1
        );
    }

    #[test]
    fn message_that_repeats_a_secret_is_withheld() {
        let withheld = one_line("bad Plaintext c2VjcmV0", &["c2VjcmV0"]);
        assert!(!withheld.contains("c2Vj"), "{withheld}");
        assert_eq!(one_line("fine", &[""]), "fine");
    }

    #[test]
    fn identifier_ends_at_the_first_invalid_character() {
        assert_eq!(&*identifier("Invalid.Code\nx"), "Invalid.Code");
        assert_eq!(&*identifier("eac6b301-a322 evil"), "eac6b301-a322");
    }
}
