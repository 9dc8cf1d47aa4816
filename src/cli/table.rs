//! Tables for humans.

use super::printer::cell;

/// Formats columns, each as wide as its widest cell; the last column is not padded.
pub(super) fn columns(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(
        rows.into_iter()
            .map(|row| row.iter().map(|text| cell(text)).collect()),
    );
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (at, cell) in line.iter().enumerate() {
            let width = |line: &Vec<String>| line.get(at).map_or(0, |cell| cell.chars().count());
            let widest = lines.iter().map(width).max().unwrap_or(0);
            text.push_str(cell);
            text.push_str(&" ".repeat(widest - width(line) + 2));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Formats names and their values, one pair per line.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let widest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in fields {
        let gap = " ".repeat(widest - name.len() + 2);
        out.push_str(format!("{name}:{gap}{}", cell(value)).trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["local://fa1975b2", "Enabled"], ["ü", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            columns(&["KEY", "STATE"], rows),
            "KEY               STATE\nlocal://fa1975b2  Enabled\nü\n"
        );
        assert_eq!(columns(&["KEY"], []), "KEY\n");
    }

    #[test]
    fn control_characters_in_cells_are_replaced() {
        let evil = "a\u{1b}[2J\nkey: b";
        let shown = fields(&[("alias", evil.to_owned()), ("none", String::new())]);
        assert_eq!(shown, "alias:  a\u{fffd}[2J key: b\nnone:\n");
        let shown = columns(&["ALIAS"], [vec![evil.to_owned()]]);
        assert_eq!(shown, "ALIAS\na\u{fffd}[2J key: b\n");
    }
}
