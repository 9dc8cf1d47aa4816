//! Text that goes into a condition or an event: one line, bounded.

/// The most bytes that a condition's message or an event's note has.
pub(super) const MAX_MESSAGE: usize = 1024;
/// The most bytes that one field takes in it: a name of an object fits.
const MAX_FIELD: usize = 253;
/// What stands in place of the part that was cut off.
const CUT: &str = "...";

/// `text` without control characters and of at most `max` bytes.
fn one_line(text: &str, max: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if out.len() > max {
        out.truncate(out.floor_char_boundary(max - CUT.len()));
        out.push_str(CUT);
    }
    out
}

/// A field of a message: what a tenant, a KMS or the API server wrote.
pub(super) fn field(text: &str) -> String {
    one_line(text, MAX_FIELD)
}

/// The whole message.
pub(super) fn message(text: &str) -> String {
    one_line(text, MAX_MESSAGE)
}

/// `items` in one field: as many as fit, then how many more there are.
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
    fn fields_are_one_bounded_line() {
        assert_eq!(field("a\nb\u{7f}\tc"), "a b  c");
        assert_eq!(field(&"x".repeat(253)).len(), 253);
        let cut = field(&"ä".repeat(200));
        assert!(cut.len() <= 253 && cut.ends_with("ä..."), "{cut}");
    }

    #[test]
    fn lists_say_what_they_leave_out() {
        let keys = |n: usize| -> Vec<String> { (0..n).map(|i| format!("local://{i:08}")).collect() };
        assert_eq!(list(&keys(2)), "local://00000000, local://00000001");
        let long = list(&keys(64));
        assert!(long.len() <= 280 && long.ends_with(" and 50 more"), "{long}");
        assert_eq!(list(&["y".repeat(2000)]).len(), 253);
    }
}
