//! Text of conditions and events: one line of bounded length.

/// Maximum length of a condition's message or an event's note, in bytes.
pub(super) const MAX_MESSAGE: usize = 1024;
/// Maximum length of one field of a message, in bytes. The name of an object fits.
const MAX_FIELD: usize = 253;
/// Replaces the part that was cut off.
const ELLIPSIS: &str = "...";

/// Replaces control characters in `text` with spaces and truncates it to `max` bytes.
fn one_line(text: &str, max: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if out.len() > max {
        out.truncate(out.floor_char_boundary(max - ELLIPSIS.len()));
        out.push_str(ELLIPSIS);
    }
    out
}

/// Sanitizes a field of a message: text from a tenant, a KMS or the API server.
pub(super) fn field(text: &str) -> String {
    one_line(text, MAX_FIELD)
}

/// Sanitizes a whole message.
pub(super) fn message(text: &str) -> String {
    one_line(text, MAX_MESSAGE)
}

/// Joins `items` in one field: as many as fit, then the number of those left out.
pub(super) fn list(items: &[String]) -> String {
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let item = field(item);
        if index > 0 && out.len() + item.len() > MAX_FIELD {
            return format!("{out} and {} more", items.len() - index);
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&item);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_single_line_and_truncated() {
        assert_eq!(field("a\nb\u{7f}\tc"), "a b  c");
        assert_eq!(field(&"x".repeat(253)).len(), 253);
        let cut = field(&"ä".repeat(200));
        assert!(cut.len() <= 253 && cut.ends_with("ä..."), "{cut}");
    }

    #[test]
    fn long_lists_end_with_the_number_left_out() {
        let keys = |n: usize| -> Vec<String> { (0..n).map(|i| format!("local://{i:08}")).collect() };
        assert_eq!(list(&keys(2)), "local://00000000, local://00000001");
        let long = list(&keys(64));
        assert!(long.len() <= 280 && long.ends_with(" and 50 more"), "{long}");
        assert_eq!(list(&["y".repeat(2000)]).len(), 253);
    }
}
