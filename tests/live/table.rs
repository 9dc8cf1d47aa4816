//! The table of questions and answers.

use envelope_secrets::kms::tencent::TencentError;
use envelope_secrets::kms::{Class, KmsError};

/// A call that failed.
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) code: Option<Box<str>>,
    /// What failed and why, with the request id.
    pub(crate) message: String,
    pub(crate) advice: String,
}

impl From<TencentError> for Failure {
    fn from(error: TencentError) -> Self {
        Failure {
            message: error.to_string(),
            class: error.class,
            code: error.code,
            advice: error.advice.into(),
        }
    }
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Failure {
            message: error.to_string(),
            advice: error.advice().to_owned(),
            class: error.class,
            code: error.code,
        }
    }
}

impl Failure {
    /// Whether it answers nothing about the KMS: a permission is missing, or there was no response.
    pub(crate) fn is_no_answer(&self) -> bool {
        match self.class {
            Class::Denied | Class::Credentials | Class::Throttled => true,
            Class::Transient => self.code.is_none(),
            _ => false,
        }
    }

    /// Returns the text for a cell: the code and its class, else why there is no answer.
    pub(crate) fn to_cell(&self) -> String {
        match &self.code {
            Some(code) if !self.is_no_answer() => format!("{code}, class {}", self.class.as_str()),
            _ => format!("no answer: {}", self.message),
        }
    }
}

/// The result of a question that takes several calls.
pub(crate) type Answer<T> = Result<T, Failure>;

/// Whether an assumption of the code holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    /// The code is correct with any answer.
    EitherWay,
    /// The code relies on another answer.
    No,
    /// There is no answer.
    Open,
}

impl Holds {
    /// `Yes` if the condition is true, else `No`.
    pub(crate) fn when(condition: bool) -> Self {
        if condition { Holds::Yes } else { Holds::No }
    }

    fn as_str(self) -> &'static str {
        match self {
            Holds::Yes => "yes",
            Holds::EitherWay => "safe either way",
            Holds::No => "NO",
            Holds::Open => "open",
        }
    }
}

/// The rows in the order of the questions.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<([String; 3], Holds)>,
}

impl Table {
    /// Adds a question, the assumption of the code, and the answer.
    pub(crate) fn add(&mut self, question: &str, assumed: &str, answer: Answer<(String, Holds)>) {
        let (answer, holds) = match answer {
            Ok(answered) => answered,
            Err(failure) if failure.is_no_answer() => (failure.to_cell(), Holds::Open),
            Err(failure) => (failure.to_cell(), Holds::No),
        };
        let row = [question.to_owned(), answer, assumed.to_owned()];
        self.rows.push((row, holds));
    }

    /// Adds a call of the client, which must work; only the permission to make it may be missing.
    pub(crate) fn works(&mut self, calls: &str, answer: Answer<(String, Holds)>) {
        let question = format!("does it work: {calls}");
        let answer = answer.or_else(|failure| match failure.class {
            Class::Denied => Err(failure),
            _ => Ok((failure.to_cell(), Holds::No)),
        });
        self.add(&question, "it works", answer);
    }

    fn count(&self, which: Holds) -> usize {
        self.rows.iter().filter(|(_, holds)| *holds == which).count()
    }

    /// Prints the table as Markdown.
    pub(crate) fn print(&self) {
        let head = ["question", "answer", "what the code assumes", "holds?"].map(str::to_owned);
        let rows = self.rows.iter().map(|([question, answer, assumed], holds)| {
            let [question, answer, assumed] =
                [question, answer, assumed].map(|cell| cell.replace('|', "\\|"));
            [question, answer, assumed, holds.as_str().to_owned()]
        });
        let mut lines: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
        let widths = [0, 1, 2, 3].map(|column| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or_default()
        });
        lines.insert(1, widths.map(|width| "-".repeat(width)));
        let [w, x, y, z] = widths;
        for [question, answer, assumed, holds] in lines {
            println!("| {question:w$} | {answer:x$} | {assumed:y$} | {holds:z$} |");
        }
    }

    /// Returns the number of contradicted assumptions, and the closing line of the suite.
    pub(crate) fn closing_line(&self) -> (usize, String) {
        let contradictions = self.count(Holds::No);
        let line = format!(
            "{} questions: {} as the code assumes, {} safe either way, {} open, {contradictions} NOT as the code assumes",
            self.rows.len(),
            self.count(Holds::Yes),
            self.count(Holds::EitherWay),
            self.count(Holds::Open),
        );
        (contradictions, line)
    }
}
