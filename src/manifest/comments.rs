//! Comments of YAML, for searches. Errs on the side of reading a `#` inside a string as a comment.

use super::buffer::SecretBuffer;

/// A comment of one or more lines.
pub struct Comment {
    /// Its first line in the text, from 1.
    pub line: usize,
    /// Its lines without the `#`.
    content: SecretBuffer,
}

impl Comment {
    fn new(line: usize) -> Self {
        Comment {
            line,
            content: SecretBuffer::default(),
        }
    }

    fn push(&mut self, line: &str) {
        self.content.push(line.as_bytes());
        self.content.push(b"\n");
    }

    /// Returns its lines without the `#`.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.content.expose()).unwrap_or_default()
    }
}

/// Returns the comments of a text: those that begin their line (consecutive lines are one comment, and so are those with
/// only blank lines between them), and each that follows a value.
pub(super) fn of(text: &str) -> Vec<Comment> {
    let mut comments = Vec::new();
    let mut block: Option<Comment> = None;
    let lines = text.split('\n').enumerate();
    // YAML ends a line at a lone CR, too.
    for (index, line) in lines.flat_map(|(index, line)| line.split('\r').map(move |line| (index, line))) {
        let number = index + 1;
        if let Some(content) = line.trim_start().strip_prefix('#') {
            let block = block.get_or_insert_with(|| Comment::new(number));
            block.push(without_marks(content));
        } else if !line.trim().is_empty() {
            comments.extend(block.take());
            if let Some((_, content)) = line.split_once(" #").or_else(|| line.split_once("\t#")) {
                let mut comment = Comment::new(number);
                comment.push(content);
                comments.push(comment);
            }
        }
    }
    comments.extend(block);
    comments
}

/// Removes further marks of comments and quotations: `##`, `# //`, `# >`, `# |`.
fn without_marks(content: &str) -> &str {
    let text = content.trim_start();
    let unmarked = text.trim_start_matches(['#', '/', '>', '|', '*']);
    if unmarked.len() < text.len() {
        unmarked
    } else {
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_lines_are_one_comment() {
        let text = "# a\n  ## b: c\r\n\n#\nx: y # d\nz: 1\n#e\r# // f";
        let comments = of(text);
        let found: Vec<(usize, &str)> = comments.iter().map(|c| (c.line, c.text())).collect();
        assert_eq!(found, [(1, " a\n b: c\n\n"), (5, " d\n"), (7, "e\n f\n")]);
    }
}
