//! Reads a source as Rust tokens and collects the paths that it names. Comments and strings do not count, and paths
//! inside macro calls do.

use std::{collections::BTreeSet, iter::Peekable, str::FromStr as _};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree, token_stream::IntoIter};

/// One path that starts in our own crate or names another one: where it stands and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) line: usize,
    /// Segments from the crate's root on for our own (`crate` left out), else as written.
    pub(super) path: Vec<String>,
    pub(super) own: bool,
    pub(super) in_tests: bool,
}

/// Collects the paths of one file.
pub(super) struct Reader {
    pub(super) uses: Vec<Use>,
    /// Files that are compiled for tests only, by module path (`#[cfg(test)] mod cases;`).
    pub(super) test_modules: BTreeSet<Vec<String>>,
}

impl Reader {
    pub(super) fn read(module: &[String], source: &str) -> Self {
        let tokens = TokenStream::from_str(source).expect("a source that compiles is a stream of tokens");
        let mut reader = Self {
            uses: Vec::new(),
            test_modules: BTreeSet::new(),
        };
        reader.walk(module, tokens, false);
        reader
    }

    fn walk(&mut self, module: &[String], tokens: TokenStream, in_tests: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let mut test_attribute = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => {
                    test_attribute |= group.delimiter() == Delimiter::Bracket && is_cfg_test(&group);
                    if group.delimiter() == Delimiter::Brace {
                        // The body of the item that the attribute stood on.
                        self.walk(
                            module,
                            group.stream(),
                            in_tests || std::mem::take(&mut test_attribute),
                        );
                    } else {
                        self.walk(module, group.stream(), in_tests);
                    }
                }
                TokenTree::Ident(word) if word == "mod" => {
                    let Some(TokenTree::Ident(name)) = tokens.next() else {
                        continue;
                    };
                    let inner = [module, &[name.to_string()]].concat();
                    match tokens.next() {
                        Some(TokenTree::Group(body)) => {
                            self.walk(
                                &inner,
                                body.stream(),
                                in_tests || std::mem::take(&mut test_attribute),
                            );
                        }
                        _ if std::mem::take(&mut test_attribute) || in_tests => {
                            self.test_modules.insert(inner);
                        }
                        _ => {}
                    }
                }
                TokenTree::Ident(word) => {
                    let line = word.span().start().line;
                    self.path(module, vec![word.to_string()], &mut tokens, line, in_tests);
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => test_attribute = false, // it stood on a `use`
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Follows `first::...`, through groups, and notes each end.
    fn path(
        &mut self,
        module: &[String],
        mut path: Vec<String>,
        tokens: &mut Peekable<IntoIter>,
        line: usize,
        in_tests: bool,
    ) {
        while matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == ':') {
            tokens.next();
            if !take_mark(tokens, ':') {
                break; // a type annotation, `name: Type`
            }
            match tokens.peek() {
                Some(TokenTree::Ident(next)) => {
                    path.push(next.to_string());
                    tokens.next();
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                    path.push("*".to_owned());
                    tokens.next();
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let mut inner = group.stream().into_iter().peekable();
                    tokens.next();
                    while let Some(token) = inner.next() {
                        let (TokenTree::Ident(_) | TokenTree::Punct(_)) = &token else {
                            continue;
                        };
                        let word = token.to_string();
                        if word == "as" {
                            inner.next();
                        } else if word != "," {
                            let line = token.span().start().line;
                            self.path(module, [&path[..], &[word]].concat(), &mut inner, line, in_tests);
                        }
                    }
                    return;
                }
                _ => break, // `::<T>`
            }
        }
        if path.len() > 1 {
            self.note(module, &path, line, in_tests);
        }
    }

    fn note(&mut self, module: &[String], path: &[String], line: usize, in_tests: bool) {
        let mut from = match path[0].as_str() {
            "crate" | "envelope_secrets" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            _ => {
                self.uses.push(Use {
                    line,
                    path: path.to_vec(),
                    own: false,
                    in_tests,
                });
                return;
            }
        };
        for word in &path[1..] {
            match word.as_str() {
                "super" => drop(from.pop()),
                "self" => {}
                _ => from.push(word.clone()),
            }
        }
        self.uses.push(Use {
            line,
            path: from,
            own: true,
            in_tests,
        });
    }
}

fn take_mark(tokens: &mut Peekable<IntoIter>, mark: char) -> bool {
    tokens
        .next_if(|next| matches!(next, TokenTree::Punct(found) if found.as_char() == mark))
        .is_some()
}

/// `[cfg(test)]`, and `[cfg(all(test, ...))]`.
fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("cfg(test") || text.starts_with("cfg(all(test")
}
