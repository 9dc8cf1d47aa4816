//! Evaluation of parsed texts.
//!
//! The language has no loops, so each node of a text is evaluated at most once. Work on values is counted in bytes
//! before it is done.

use std::collections::BTreeMap;

use super::super::secret_bytes::SecretBytes;
use super::ast::{
    Comparison, Default, Expr, Filter, Filtered, Join, Lookup, Node, Position, Replace, SimpleFilter,
};
use super::error::{RenderError, RenderErrorKind};
use super::filter;
use super::limits::{MAX_HANDLED, MAX_RESULT, MAX_SECRET};
use super::text::Text;

/// Renders all texts over the decrypted values and the plain data (`v`), in bytewise order of their names.
///
/// Texts do not see each other. The limits apply to all of them together.
///
/// # Errors
///
/// Returns the first failure.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use envelope_secrets::envelope::render::{RenderErrorKind, Text, render_all};
///
/// let values: BTreeMap<&str, &[u8]> = [("user", &b"app"[..]), ("password", b"p w")].into();
/// let render = |source: &str| {
///     let text = Text::parse(source).expect("a valid text");
///     render_all(&BTreeMap::from([("dsn".to_owned(), text)]), &values)
/// };
///
/// let rendered = render("postgres://<%= v.user %>:<%= v.password|urlencode %>@db/").expect("it renders");
/// assert_eq!(rendered["dsn"].expose(), b"postgres://app:p%20w@db/");
///
/// let error = render("\n<%= v.host %>").err().expect("no entry has the name `host`");
/// assert_eq!((error.entry.as_str(), error.line), ("dsn", 2));
/// assert_eq!(error.kind, RenderErrorKind::MissingName);
/// ```
pub fn render_all<'a>(
    texts: &BTreeMap<String, Text>,
    values: &BTreeMap<&'a str, &'a [u8]>,
) -> Result<BTreeMap<String, SecretBytes>, RenderError> {
    render_within(&mut Budget::new(values), texts, values)
}

/// Implements [`render_all`] with a budget that tests can inspect afterwards.
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
    let mut evaluator = Evaluator {
        source: &text.source,
        values,
        budget,
        written: Vec::new(),
    };
    evaluator.write_nodes(&text.body)?;
    // One buffer of the final size: a buffer that grows would leave copies in memory.
    let mut out = Vec::with_capacity(evaluator.written.iter().map(Value::len).sum());
    for value in &evaluator.written {
        out.extend_from_slice(value.bytes());
    }
    Ok(SecretBytes::new(out))
}

struct Failure {
    at: Position,
    kind: RenderErrorKind,
}

/// The counters of the limits, shared by all texts of a document.
pub(super) struct Budget {
    /// Bytes handled so far.
    pub(super) handled: usize,
    /// Bytes of the Secret so far: values, plain data and output.
    secret: usize,
}

impl Budget {
    pub(super) fn new(values: &BTreeMap<&str, &[u8]>) -> Self {
        Budget {
            handled: 0,
            secret: values.values().map(|value| value.len()).sum(),
        }
    }

    /// Counts bytes about to be handled.
    fn handle(&mut self, at: Position, bytes: usize) -> Result<(), Failure> {
        self.handled = self.handled.saturating_add(bytes);
        if self.handled > MAX_HANDLED {
            return Err(at.failure(RenderErrorKind::TooMuchWork));
        }
        Ok(())
    }

    /// Counts the result of a filter or `~` before it is computed.
    fn result(&mut self, at: Position, bytes: usize) -> Result<(), Failure> {
        if bytes > MAX_RESULT {
            return Err(at.failure(RenderErrorKind::ResultTooLarge));
        }
        self.handle(at, bytes)
    }

    /// Counts output before it is written.
    fn write(&mut self, at: Position, bytes: usize) -> Result<(), Failure> {
        self.handle(at, bytes)?;
        self.secret = self.secret.saturating_add(bytes);
        if self.secret > MAX_SECRET {
            return Err(at.failure(RenderErrorKind::SecretTooLarge));
        }
        Ok(())
    }
}

impl Position {
    fn failure(self, kind: RenderErrorKind) -> Failure {
        Failure { at: self, kind }
    }
}

/// The bytes of a value.
enum Value<'t> {
    /// Of an entry or a literal.
    Borrowed(&'t [u8]),
    /// The result of a filter or `~`.
    Computed(SecretBytes),
}

impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Value::Borrowed(bytes) => bytes,
            Value::Computed(bytes) => bytes.expose(),
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn text(&self, at: Position) -> Result<&str, Failure> {
        std::str::from_utf8(self.bytes()).map_err(|_| at.failure(RenderErrorKind::NotUtf8))
    }
}

/// The result of an expression.
enum Outcome<'t> {
    Bool(bool),
    Value(Value<'t>),
}

impl<'t> Outcome<'t> {
    fn is_truthy(&self) -> bool {
        match self {
            Outcome::Bool(value) => *value,
            Outcome::Value(value) => value.len() > 0,
        }
    }

    fn value(self, at: Position) -> Result<Value<'t>, Failure> {
        match self {
            Outcome::Value(value) => Ok(value),
            Outcome::Bool(_) => Err(at.failure(RenderErrorKind::NotValue)),
        }
    }
}

/// Evaluates one text over the values.
struct Evaluator<'t, 'b> {
    source: &'t str,
    values: &'t BTreeMap<&'t str, &'t [u8]>,
    budget: &'b mut Budget,
    written: Vec<Value<'t>>,
}

impl<'t> Evaluator<'t, '_> {
    fn write_nodes(&mut self, nodes: &'t [Node]) -> Result<(), Failure> {
        for node in nodes {
            match node {
                Node::Text(span) => {
                    let text = span.slice(self.source).as_bytes();
                    self.budget.write(span.position(), text.len())?;
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
                        if self.eval(&arm.condition)?.is_truthy() {
                            chosen = &arm.body;
                            break;
                        }
                    }
                    self.write_nodes(chosen)?;
                }
            }
        }
        Ok(())
    }

    fn eval(&mut self, expr: &'t Expr) -> Result<Outcome<'t>, Failure> {
        Ok(match expr {
            Expr::Or(operands) => Outcome::Bool(self.any(operands, true)?),
            Expr::And(operands) => Outcome::Bool(!self.any(operands, false)?),
            Expr::Not(operand) => Outcome::Bool(!self.eval(operand)?.is_truthy()),
            Expr::Compare(comparison) => Outcome::Bool(self.compare(comparison)?),
            Expr::Defined(test) => Outcome::Bool(self.look_up(&test.lookup).is_some() == test.expected),
            Expr::Join(join) => Outcome::Value(self.join(join)?),
            Expr::Filtered(filtered) => Outcome::Value(self.filtered(filtered)?),
            Expr::Default(default) => self.default(default)?,
            Expr::Lookup(lookup) => match self.look_up(lookup) {
                Some(value) => Outcome::Value(value),
                None => return Err(lookup.at.failure(RenderErrorKind::MissingName)),
            },
            Expr::Literal(literal) => {
                Outcome::Value(Value::Borrowed(literal.resolve(self.source).as_bytes()))
            }
            Expr::Bool(bool) => Outcome::Bool(*bool),
        })
    }

    /// Returns whether any operand evaluates to `expected`, and stops at the first one that does.
    fn any(&mut self, operands: &'t [Expr], expected: bool) -> Result<bool, Failure> {
        for operand in operands {
            if self.eval(operand)?.is_truthy() == expected {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn look_up(&self, lookup: &'t Lookup) -> Option<Value<'t>> {
        let value = self.values.get(lookup.name.resolve(self.source))?;
        Some(Value::Borrowed(value))
    }

    fn default(&mut self, default: &'t Default) -> Result<Outcome<'t>, Failure> {
        match self.look_up(&default.lookup) {
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
            _ => return Err(comparison.at.failure(RenderErrorKind::MixedComparison)),
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
            joined = Outcome::Value(Value::Computed(SecretBytes::new(out)));
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

    fn filter(
        &mut self,
        at: Position,
        filter: &'t Filter,
        operand: Outcome<'t>,
    ) -> Result<Value<'t>, Failure> {
        let operand = operand.value(at)?;
        let result = match filter {
            Filter::Simple(simple) => self.simple_filter(at, *simple, &operand)?,
            Filter::Replace(arguments) => self.replace(at, arguments, &operand)?,
        };
        Ok(Value::Computed(result))
    }

    fn simple_filter(
        &mut self,
        at: Position,
        filter: SimpleFilter,
        operand: &Value<'t>,
    ) -> Result<SecretBytes, Failure> {
        // Counted first, because checking for UTF-8 and computing the length of the result read the whole operand.
        self.budget.handle(at, operand.len())?;
        Ok(match filter {
            SimpleFilter::B64Encode => {
                self.budget.result(at, filter::base64_len(operand.len()))?;
                filter::base64_encode(operand.bytes())
            }
            SimpleFilter::B64Decode => {
                let text = operand.text(at)?;
                self.budget.result(at, filter::base64_decoded_len(text))?;
                filter::base64_decode(text).map_err(|kind| at.failure(kind))?
            }
            SimpleFilter::Upper => {
                self.budget.result(at, operand.len())?;
                filter::upper(operand.text(at)?)
            }
            SimpleFilter::Lower => {
                self.budget.result(at, operand.len())?;
                filter::lower(operand.text(at)?)
            }
            SimpleFilter::Trim => {
                let trimmed = filter::trim(operand.text(at)?);
                self.budget.result(at, trimmed.len())?;
                SecretBytes::new(trimmed.as_bytes().to_vec())
            }
            SimpleFilter::ToJson => {
                let text = operand.text(at)?;
                let length = filter::json_len(text);
                self.budget.result(at, length)?;
                filter::to_json(text, length)
            }
            SimpleFilter::UrlEncode => {
                let length = filter::url_len(operand.bytes());
                self.budget.result(at, length)?;
                filter::url_encode(operand.bytes(), length)
            }
            SimpleFilter::Sha256 => {
                self.budget.result(at, filter::SHA256_LEN)?;
                filter::sha256(operand.bytes())
            }
        })
    }

    fn replace(
        &mut self,
        at: Position,
        arguments: &'t Replace,
        operand: &Value<'t>,
    ) -> Result<SecretBytes, Failure> {
        let from = self.eval(&arguments.from)?.value(at)?;
        let to = self.eval(&arguments.to)?.value(at)?;
        self.budget.handle(at, operand.len() + from.len() + to.len())?;
        let (text, from, to) = (operand.text(at)?, from.text(at)?, to.text(at)?);
        if from.is_empty() {
            return Err(at.failure(RenderErrorKind::EmptySearch));
        }
        let length = filter::replaced_len(text, from, to);
        self.budget.result(at, length)?;
        Ok(filter::replace(text, from, to, length))
    }
}
