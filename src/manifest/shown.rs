//! Untrusted text in messages: always on one line, never longer than a line should be.

/// Longer texts are cut.
const MAX_SHOWN: usize = 120;

/// Returns a text as it appears in messages: unchanged if it has only letters, digits and `.`, `_`, `/`, `-`, `:`, else in
/// quotes, with control characters and line breaks escaped.
pub fn shown(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-:".contains(c);
    if !text.is_empty() && text.chars().all(plain) && text.len() <= MAX_SHOWN {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Returns a text in quotes, with control characters and line breaks escaped.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// Returns the path of a map's member: `data.password`, or `data["pass word"]`.
pub(super) fn member_path(map: &str, key: &str) -> String {
    let name = shown(key);
    if name == key {
        format!("{map}.{key}")
    } else {
        format!("{map}[{name}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_forge_a_line_is_escaped() {
        assert_eq!(shown("apps/v1:Deployment_x"), "apps/v1:Deployment_x");
        for forged in ["a\n::error::b", "a\rb", "a\u{2028}b", "a\u{85}b", "\u{1b}[2J", ""] {
            let text = shown(forged);
            assert!(
                text.starts_with('"') && text.chars().all(|c| !c.is_control()),
                "{text}"
            );
            assert!(!text.contains(['\u{2028}', '\u{85}']), "{text}");
        }
        assert!(shown(&"x".repeat(1000)).len() < 200);
        assert_eq!(member_path("data", "a.b"), "data.a.b");
        assert_eq!(member_path("data", "a\nb"), "data[\"a\\nb\"]");
    }
}
