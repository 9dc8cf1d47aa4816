//! Evaluation. Nothing is looped over in the language, so each node of a text is evaluated at most once, and what the
//! work on values costs is counted in bytes before it is done.

use std::collections::BTreeMap;

use super::ast::{At, Comparison, Default, Expr, Filter, Filtered, Join, Lookup, Node, Plain, Replace};
use super::{MAX_HANDLED, MAX_RESULT, MAX_SECRET, RenderError, RenderErrorKind, Text, filter};
use crate::envelope::SecretBytes;

/// Renders all texts, in bytewise order of their names, over the decrypted and the plain values (`v`). Texts do not see
/// each other. The limits count over all of them, and the first failure is the outcome.
pub fn render_all<'a>(
    texts: &BTreeMap<String, Text>,
    values: &BTreeMap<&'a str, &'a [u8]>,
) -> Result<BTreeMap<String, SecretBytes>, RenderError> {
    render_within(&mut Budget::new(values), texts, values)
}

/// [`render_all`] with a budget that the caller looks at afterwards.
pub(super) fn render_within<'a>(
    budget: &mut Budget,
    texts: &BTreeMap<String, Text>,
    values: &BTreeMap<&'a str, &'a [u8]>,
) -> Result<BTreeMap<String, SecretBytes>, RenderError> {
    let mut rendered = BTreeMap::new();
    for (entry, text) in texts {
        let bytes = render(text, values, budget).map_err(|failure| RenderError {
            entry: entry.clone(),
            line: failure.at.line(&text.source),
            kind: failure.kind,
        })?;
        rendered.insert(entry.clone(), bytes);
    }
    Ok(rendered)
}

fn render(text: &Text, values: &BTreeMap<&str, &[u8]>, budget: &mut Budget) -> Result<SecretBytes, Failure> {
    let mut run = Run {
        source: &text.source,
        values,
        budget,
        written: Vec::new(),
    };
    run.nodes(&text.body)?;
    // One buffer of the right size: one that grows would leave copies behind.
    let mut out = Vec::with_capacity(run.written.iter().map(|value| value.bytes().len()).sum());
    for value in &run.written {
        out.extend_from_slice(value.bytes());
    }
    Ok(SecretBytes::new(out))
}

struct Failure {
    at: At,
    kind: RenderErrorKind,
}

/// What the limits count, over all texts of a document.
pub(super) struct Budget {
    /// Bytes handled so far.
    pub(super) handled: usize,
    /// Bytes of the Secret so far: values, plain values, what is written.
    secret: usize,
}

impl Budget {
    pub(super) fn new(values: &BTreeMap<&str, &[u8]>) -> Self {
        Budget {
            handled: 0,
            secret: values.values().map(|value| value.len()).sum(),
        }
    }

    /// Counts bytes that are about to be handled.
    fn handle(&mut self, at: At, bytes: usize) -> Result<(), Failure> {
        self.handled = self.handled.saturating_add(bytes);
        if self.handled > MAX_HANDLED {
            return Err(at.fails(RenderErrorKind::TooMuchWork));
        }
        Ok(())
    }

    /// Counts the result, about to be made, of a filter or `~`.
    fn result(&mut self, at: At, bytes: usize) -> Result<(), Failure> {
        if bytes > MAX_RESULT {
            return Err(at.fails(RenderErrorKind::ResultTooLarge));
        }
        self.handle(at, bytes)
    }

    /// Counts what is about to be written.
    fn write(&mut self, at: At, bytes: usize) -> Result<(), Failure> {
        self.handle(at, bytes)?;
        self.secret = self.secret.saturating_add(bytes);
        if self.secret > MAX_SECRET {
            return Err(at.fails(RenderErrorKind::SecretTooLarge));
        }
        Ok(())
    }
}

impl At {
    fn fails(self, kind: RenderErrorKind) -> Failure {
        Failure { at: self, kind }
    }
}

/// The bytes of a value: those of an entry or a literal as they are, or of a result.
enum Value<'t> {
    Borrowed(&'t [u8]),
    Made(SecretBytes),
}

impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Value::Borrowed(bytes) => bytes,
            Value::Made(bytes) => bytes.expose(),
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn text(&self, at: At) -> Result<&str, Failure> {
        std::str::from_utf8(self.bytes()).map_err(|_| at.fails(RenderErrorKind::NotUtf8))
    }
}

/// What an expression gives.
enum Outcome<'t> {
    Bool(bool),
    Value(Value<'t>),
}

impl<'t> Outcome<'t> {
    fn holds(&self) -> bool {
        match self {
            Outcome::Bool(holds) => *holds,
            Outcome::Value(value) => value.len() > 0,
        }
    }

    fn value(self, at: At) -> Result<Value<'t>, Failure> {
        match self {
            Outcome::Value(value) => Ok(value),
            Outcome::Bool(_) => Err(at.fails(RenderErrorKind::NotValue)),
        }
    }
}

/// One text over the values.
struct Run<'t, 'b> {
    source: &'t str,
    values: &'t BTreeMap<&'t str, &'t [u8]>,
    budget: &'b mut Budget,
    written: Vec<Value<'t>>,
}

impl<'t> Run<'t, '_> {
    fn nodes(&mut self, nodes: &'t [Node]) -> Result<(), Failure> {
        for node in nodes {
            match node {
                Node::Text(span) => {
                    let text = span.of(self.source).as_bytes();
                    self.budget.write(span.at(), text.len())?;
                    self.written.push(Value::Borrowed(text));
                }
                Node::Write { expr, at } => {
                    let value = self.eval(expr)?.value(*at)?;
                    self.budget.write(*at, value.len())?;
                    value.text(*at)?;
                    self.written.push(value);
                }
                Node::If { arms, otherwise } => {
                    let mut chosen = otherwise;
                    for arm in arms {
                        if self.eval(&arm.condition)?.holds() {
                            chosen = &arm.body;
                            break;
                        }
                    }
                    self.nodes(chosen)?;
                }
            }
        }
        Ok(())
    }

    fn eval(&mut self, expr: &'t Expr) -> Result<Outcome<'t>, Failure> {
        Ok(match expr {
            Expr::Or(operands) => Outcome::Bool(self.any(operands, true)?),
            Expr::And(operands) => Outcome::Bool(!self.any(operands, false)?),
            Expr::Not(operand) => Outcome::Bool(!self.eval(operand)?.holds()),
            Expr::Compare(comparison) => Outcome::Bool(self.compare(comparison)?),
            Expr::Defined(asked) => Outcome::Bool(self.get(&asked.lookup).is_some() == asked.wanted),
            Expr::Join(join) => Outcome::Value(self.join(join)?),
            Expr::Filtered(filtered) => Outcome::Value(self.filtered(filtered)?),
            Expr::Default(default) => self.default(default)?,
            Expr::Lookup(lookup) => match self.get(lookup) {
                Some(value) => Outcome::Value(value),
                None => return Err(lookup.at.fails(RenderErrorKind::MissingName)),
            },
            Expr::Literal(literal) => Outcome::Value(Value::Borrowed(literal.of(self.source).as_bytes())),
            Expr::Bool(bool) => Outcome::Bool(*bool),
        })
    }

    /// Whether one of the operands is `wanted`; none after it is evaluated.
    fn any(&mut self, operands: &'t [Expr], wanted: bool) -> Result<bool, Failure> {
        for operand in operands {
            if self.eval(operand)?.holds() == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn get(&self, lookup: &'t Lookup) -> Option<Value<'t>> {
        let value = self.values.get(lookup.name.of(self.source))?;
        Some(Value::Borrowed(value))
    }

    fn default(&mut self, default: &'t Default) -> Result<Outcome<'t>, Failure> {
        match self.get(&default.lookup) {
            Some(value) => Ok(Outcome::Value(value)),
            None => self.eval(&default.otherwise),
        }
    }

    fn compare(&mut self, comparison: &'t Comparison) -> Result<bool, Failure> {
        let same = match (self.eval(&comparison.left)?, self.eval(&comparison.right)?) {
            (Outcome::Bool(left), Outcome::Bool(right)) => left == right,
            (Outcome::Value(left), Outcome::Value(right)) => {
                self.budget.handle(comparison.at, left.len() + right.len())?;
                left.bytes() == right.bytes()
            }
            _ => return Err(comparison.at.fails(RenderErrorKind::MixedComparison)),
        };
        Ok(same == comparison.equal)
    }

    fn join(&mut self, join: &'t Join) -> Result<Value<'t>, Failure> {
        let mut joined = self.eval(&join.first)?;
        for (at, item) in &join.rest {
            let left = joined.value(*at)?;
            let right = self.eval(item)?.value(*at)?;
            let length = left.len() + right.len();
            self.budget.handle(*at, length)?;
            self.budget.result(*at, length)?;
            left.text(*at)?;
            right.text(*at)?;
            let mut out = Vec::with_capacity(length);
            out.extend_from_slice(left.bytes());
            out.extend_from_slice(right.bytes());
            joined = Outcome::Value(Value::Made(SecretBytes::new(out)));
        }
        joined.value(join.rest[0].0)
    }

    fn filtered(&mut self, filtered: &'t Filtered) -> Result<Value<'t>, Failure> {
        let mut outcome = self.eval(&filtered.operand)?;
        for (at, filter) in &filtered.filters {
            outcome = Outcome::Value(self.filter(*at, filter, outcome)?);
        }
        outcome.value(filtered.filters[0].0)
    }

    fn filter(&mut self, at: At, filter: &'t Filter, operand: Outcome<'t>) -> Result<Value<'t>, Failure> {
        let operand = operand.value(at)?;
        let made = match filter {
            Filter::Plain(plain) => self.plain(at, *plain, &operand)?,
            Filter::Replace(arguments) => self.replace(at, arguments, &operand)?,
        };
        Ok(Value::Made(made))
    }

    fn plain(&mut self, at: At, filter: Plain, operand: &Value<'t>) -> Result<SecretBytes, Failure> {
        // From here on the operand may be walked over: to check that it is text, to learn how long the result is.
        self.budget.handle(at, operand.len())?;
        Ok(match filter {
            Plain::B64Encode => {
                self.budget.result(at, filter::base64_len(operand.len()))?;
                filter::base64_encode(operand.bytes())
            }
            Plain::B64Decode => {
                let text = operand.text(at)?;
                self.budget.result(at, filter::base64_decoded_len(text))?;
                filter::base64_decode(text).map_err(|kind| at.fails(kind))?
            }
            Plain::Upper => {
                self.budget.result(at, operand.len())?;
                filter::upper(operand.text(at)?)
            }
            Plain::Lower => {
                self.budget.result(at, operand.len())?;
                filter::lower(operand.text(at)?)
            }
            Plain::Trim => {
                let trimmed = filter::trim(operand.text(at)?);
                self.budget.result(at, trimmed.len())?;
                SecretBytes::new(trimmed.as_bytes().to_vec())
            }
            Plain::ToJson => {
                let text = operand.text(at)?;
                let length = filter::json_len(text);
                self.budget.result(at, length)?;
                filter::to_json(text, length)
            }
            Plain::UrlEncode => {
                let length = filter::url_len(operand.bytes());
                self.budget.result(at, length)?;
                filter::url_encode(operand.bytes(), length)
            }
            Plain::Sha256 => {
                self.budget.result(at, filter::SHA256_LEN)?;
                filter::sha256(operand.bytes())
            }
        })
    }

    fn replace(
        &mut self,
        at: At,
        arguments: &'t Replace,
        operand: &Value<'t>,
    ) -> Result<SecretBytes, Failure> {
        let from = self.eval(&arguments.from)?.value(at)?;
        let to = self.eval(&arguments.to)?.value(at)?;
        self.budget.handle(at, operand.len() + from.len() + to.len())?;
        let (text, from, to) = (operand.text(at)?, from.text(at)?, to.text(at)?);
        if from.is_empty() {
            return Err(at.fails(RenderErrorKind::EmptySearch));
        }
        let length = filter::replaced_len(text, from, to);
        self.budget.result(at, length)?;
        Ok(filter::replace(text, from, to, length))
    }
}
