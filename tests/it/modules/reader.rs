//! Reads a source file as Rust tokens and collects the modules, items, imports and paths in it. Comments and strings do
//! not count; paths inside macro calls do.

use std::{collections::BTreeSet, iter::Peekable, str::FromStr as _};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree, token_stream::IntoIter};

/// A module's path from the crate root, without `crate`.
pub(super) type ModulePath = Vec<String>;

/// A path of at least two segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) line: usize,
    /// The module that contains the path.
    pub(super) module: ModulePath,
    /// From the crate root if it starts with `crate`, `self` or `super`, otherwise as written.
    pub(super) segments: Vec<String>,
    /// Whether it starts with `crate`, `self` or `super`.
    pub(super) absolute: bool,
    /// `Some` if a `use` declaration brings it into scope.
    pub(super) import: Option<Import>,
    pub(super) in_tests: bool,
}

/// What a `use` declaration does with a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    /// The name in scope; `*` for a glob.
    pub(super) name: String,
    pub(super) is_reexport: bool,
}

/// Everything that the checks need to know about one file.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) paths: Vec<Path>,
    /// The file's module and the inline modules in it.
    pub(super) modules: BTreeSet<ModulePath>,
    /// Modules that are compiled for tests only (`#[cfg(test)] mod cases;`).
    pub(super) test_modules: BTreeSet<ModulePath>,
    /// Items by module and name.
    pub(super) items: BTreeSet<(ModulePath, String)>,
    /// Single identifiers outside of `use` declarations and tests, by module.
    pub(super) names: BTreeSet<(ModulePath, String)>,
}

impl Source {
    pub(super) fn read(module: &[String], source: &str) -> Self {
        let tokens = TokenStream::from_str(source).expect("source files consist of Rust tokens");
        let mut read = Self::default();
        let scope = Scope {
            module,
            in_tests: false,
        };
        read.modules.insert(module.to_vec());
        read.walk(scope, tokens);
        read
    }

    fn walk(&mut self, scope: Scope<'_>, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let mut test_attribute = false;
        let mut is_public = false;
        let mut before = ' '; // the punctuation directly before the token
        while let Some(token) = tokens.next() {
            let here = Scope {
                in_tests: scope.in_tests || test_attribute,
                ..scope
            };
            let after = std::mem::replace(&mut before, ' ');
            match token {
                TokenTree::Group(group) => {
                    test_attribute |= group.delimiter() == Delimiter::Bracket && is_cfg_test(&group);
                    self.walk(here, group.stream());
                    if group.delimiter() == Delimiter::Brace {
                        test_attribute = false; // the end of the item with the attribute
                    }
                }
                TokenTree::Ident(_) if after == '\'' => {} // a lifetime
                TokenTree::Ident(word) if word == "mod" => {
                    let Some(TokenTree::Ident(name)) = tokens.next() else {
                        continue;
                    };
                    let inner = [scope.module, &[name.to_string()]].concat();
                    (test_attribute, is_public) = (false, false);
                    if let Some(TokenTree::Group(body)) = tokens.next() {
                        self.modules.insert(inner.clone());
                        let module = &inner;
                        self.walk(Scope { module, ..here }, body.stream());
                    } else if here.in_tests {
                        self.test_modules.insert(inner);
                    }
                }
                TokenTree::Ident(word) if word == "pub" => is_public = true,
                // Not the `use<'a>` of an `impl Trait`.
                TokenTree::Ident(word) if word == "use" && !is_punct(tokens.peek(), '<') => {
                    take_punct(&mut tokens, ':');
                    take_punct(&mut tokens, ':');
                    if let Some(TokenTree::Ident(first)) = tokens.next() {
                        let kind = PathKind::Use {
                            is_reexport: std::mem::take(&mut is_public),
                        };
                        self.path(here, kind, vec![first.to_string()], first.span(), &mut tokens);
                    }
                }
                TokenTree::Ident(word) => {
                    if DEFINING.iter().any(|keyword| word == keyword) {
                        is_public = false;
                        if let Some(TokenTree::Ident(name)) = tokens.peek() {
                            self.items.insert((scope.module.to_vec(), name.to_string()));
                            if word != "const" {
                                tokens.next(); // `const fn` is not a name
                            }
                        }
                        continue;
                    }
                    let is_field = after == '.';
                    let kind = PathKind::Code { is_field };
                    self.path(here, kind, vec![word.to_string()], word.span(), &mut tokens);
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => {
                    (test_attribute, is_public) = (false, false);
                }
                TokenTree::Punct(mark) => before = mark.as_char(),
                TokenTree::Literal(_) => {}
            }
        }
    }

    /// Follows `first::...` through groups and records each end.
    fn path(
        &mut self,
        scope: Scope<'_>,
        kind: PathKind,
        mut segments: Vec<String>,
        span: proc_macro2::Span,
        tokens: &mut Peekable<IntoIter>,
    ) {
        let line = span.start().line;
        let mut is_annotated = false;
        while take_punct(tokens, ':') {
            if !take_punct(tokens, ':') {
                is_annotated = true; // a type annotation, `name: Type`
                break;
            }
            match tokens.peek() {
                Some(TokenTree::Ident(next)) => {
                    segments.push(next.to_string());
                    tokens.next();
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                    segments.push("*".to_owned());
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
                        if word != "," {
                            let longer = [&segments[..], &[word]].concat();
                            self.path(scope, kind, longer, token.span(), &mut inner);
                        }
                    }
                    return;
                }
                _ => break, // `::<T>`
            }
        }
        match kind {
            PathKind::Use { is_reexport } => {
                let last = segments.iter().rfind(|segment| *segment != "self");
                let name = take_alias(tokens).or_else(|| last.cloned()).unwrap_or_default();
                let import = Import { name, is_reexport };
                self.record(scope, &segments, line, Some(import));
            }
            PathKind::Code { is_field } if segments.len() == 1 => {
                if !scope.in_tests && !is_field && !is_annotated {
                    self.names.insert((scope.module.to_vec(), segments.remove(0)));
                }
            }
            PathKind::Code { .. } => self.record(scope, &segments, line, None),
        }
    }

    fn record(&mut self, scope: Scope<'_>, written: &[String], line: usize, import: Option<Import>) {
        let module = scope.module;
        let (mut segments, absolute) = match written[0].as_str() {
            "crate" | "envelope_secrets" => (Vec::new(), true),
            "self" => (module.to_vec(), true),
            "super" => (module[..module.len().saturating_sub(1)].to_vec(), true),
            first => (vec![first.to_owned()], false),
        };
        for word in &written[1..] {
            match word.as_str() {
                "super" => drop(segments.pop()),
                "self" => {}
                _ => segments.push(word.clone()),
            }
        }
        self.paths.push(Path {
            line,
            module: module.to_vec(),
            segments,
            absolute,
            import,
            in_tests: scope.in_tests,
        });
    }
}

/// Keywords that precede the name of an item.
const DEFINING: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "static"];

#[derive(Clone, Copy)]
struct Scope<'a> {
    module: &'a [String],
    in_tests: bool,
}

#[derive(Clone, Copy)]
enum PathKind {
    Use { is_reexport: bool },
    Code { is_field: bool },
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

fn take_punct(tokens: &mut Peekable<IntoIter>, mark: char) -> bool {
    tokens.next_if(|next| is_punct(Some(next), mark)).is_some()
}

/// Takes `as NAME`.
fn take_alias(tokens: &mut Peekable<IntoIter>) -> Option<String> {
    tokens.next_if(|next| matches!(next, TokenTree::Ident(word) if word == "as"))?;
    tokens.next().map(|alias| alias.to_string())
}

/// `[cfg(test)]`, and `[cfg(all(test, ...))]`.
fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("cfg(test") || text.starts_with("cfg(all(test")
}
