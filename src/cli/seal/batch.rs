//! The documents of one command: which are sealed, which pass through, and the checks of the whole output.

use super::super::args::Format;
use super::super::failure::{Failure, Result};
use super::super::failures::Failures;
use super::super::input::Input;
use super::super::output::{Piece, join};
use super::document::{Prepared, Sealer};
use super::leaks::LeakCheck;
use crate::envelope::Document;
use crate::manifest::{Item, Node, Part, PlaintextFinding, SecretBuffer, Treatment};

/// All documents of a command, in order.
pub(super) struct Batch<'s, 'p> {
    sealer: &'s Sealer,
    pass_plain: bool,
    format: Format,
    planned: Vec<(&'p Input, Planned<'p>)>,
    /// `passed through: ConfigMap prod/app`.
    reports: Vec<String>,
}

/// What happens to one document or object.
enum Planned<'p> {
    /// It is sealed; whether it began with `---`.
    Seal(Box<Prepared>, bool),
    /// It is rewritten; its name and whether it began with `---`.
    Rewrite(Node, String, bool),
    /// It passes through byte for byte.
    Keep(&'p Part<'p>),
}

impl<'s, 'p> Batch<'s, 'p> {
    pub(super) fn new(sealer: &'s Sealer, pass_plain: bool, format: Format) -> Self {
        Batch {
            sealer,
            pass_plain,
            format,
            planned: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Adds one document. No KMS key is used yet.
    pub(super) fn add(
        &mut self,
        input: &'p Input,
        part: &'p Part<'p>,
        failures: &mut Failures,
    ) -> Result<()> {
        let items = part.objects_to_process();
        if items.iter().any(|item| item.treatment() == Treatment::Secret) {
            for item in &items {
                match self.plan_item(input, part, item) {
                    Ok(planned) => self.planned.push((input, planned)),
                    Err(failure) => failures.add(failure.about(input.label()))?,
                }
            }
            return Ok(());
        }
        match self.plan_part(input, part) {
            Ok(()) => {
                self.planned.push((input, Planned::Keep(part)));
                Ok(())
            }
            Err(failure) => failures.add(failure.about(input.label())),
        }
    }

    /// Plans a Secret, or another object of the same list.
    fn plan_item(&mut self, input: &Input, part: &Part<'_>, item: &Item<'_>) -> Result<Planned<'p>> {
        if item.treatment() == Treatment::Secret {
            let prepared = self.sealer.prepare(item.secret()?, false)?;
            return Ok(Planned::Seal(Box::new(prepared), part.explicit));
        }
        self.refuse_plaintext(input, item.find_plaintext())?;
        self.refuse_invalid_sealed(input, item)?;
        let node = item.rewritable()?;
        self.report(item);
        Ok(Planned::Rewrite(node, item.describe(), part.explicit))
    }

    /// Plans a document without a Secret.
    fn plan_part(&mut self, input: &Input, part: &Part<'_>) -> Result<()> {
        part.check_object()?;
        self.refuse_plaintext(input, part.find_plaintext())?;
        for item in part.all_objects() {
            self.refuse_invalid_sealed(input, &item)?;
            self.report(&item);
        }
        Ok(())
    }

    /// An EnvelopeSecret that is not a valid document may hold plaintext where its ciphertext should be.
    fn refuse_invalid_sealed(&self, input: &Input, item: &Item<'_>) -> Result<()> {
        if item.treatment() != Treatment::Sealed {
            return Ok(());
        }
        // Namespace and name do not matter here, and a manifest may lack them.
        let parsed = item
            .sealed_json(Some("unnamed"))
            .map_err(Failure::from)
            .and_then(|json| Ok(Document::from_object_json(&json, Some("default"))?));
        match parsed {
            Ok(_) => Ok(()),
            Err(failure) if self.pass_plain => {
                self.sealer.printer.warning(&format!(
                    "{}: {}: passed through, although it is not a valid sealed document: {}",
                    input.label(),
                    item.describe(),
                    failure.message
                ));
                Ok(())
            }
            Err(failure) => Err(Failure::failed(format!(
                "{}: not a valid sealed document, so it may hold plaintext: {}",
                item.describe(),
                failure.message
            ))
            .help(
                "seal the Secret itself (`kind: Secret`); or pass the document through with --pass-plain, for example one \
                 of a newer format",
            )),
        }
    }

    fn refuse_plaintext(&self, input: &Input, found: Option<PlaintextFinding>) -> Result<()> {
        let Some(PlaintextFinding { line, what }) = found else {
            return Ok(());
        };
        if self.pass_plain {
            self.sealer.printer.warning(&format!(
                "{}: line {line}: passed through in plaintext: {what}",
                input.label()
            ));
            return Ok(());
        }
        Err(Failure::failed(format!(
            "line {line}: this would pass through in plaintext: {what}"
        ))
        .help(
            "seal the Secret by itself, as `kind: Secret` of `apiVersion: v1`; \
                 or pass the document through with --pass-plain",
        ))
    }

    fn report(&mut self, item: &Item<'_>) {
        let described = item.describe();
        self.reports.push(match item.treatment() {
            Treatment::Sealed => format!(
                "already sealed: {}",
                described
                    .split_once(' ')
                    .map_or("EnvelopeSecret", |(_, place)| place)
            ),
            _ => format!("passed through: {described}"),
        });
    }

    /// Checks everything for leaks, seals, and checks the output. Returns it with the reports, or `None` if nothing is
    /// left to write.
    pub(super) async fn finish(self, failures: &mut Failures) -> Result<(Option<SecretBuffer>, Vec<String>)> {
        let Batch {
            sealer,
            format,
            planned,
            mut reports,
            ..
        } = self;
        let secrets = planned.iter().filter_map(|(_, planned)| match planned {
            Planned::Seal(prepared, _) => Some(&**prepared),
            _ => None,
        });
        let check = LeakCheck::new(secrets, &sealer.recipients.list());
        let mut pieces = Vec::new();
        for (input, planned) in planned {
            let piece = match planned {
                Planned::Seal(prepared, explicit) => match check.check_secret(&prepared) {
                    Ok(()) => sealer.seal(*prepared).await.map(|done| {
                        reports.push(done.report);
                        vec![Piece::New(done.object, explicit)]
                    }),
                    Err(failure) => Err(failure.about(format!("Secret {}", prepared.place.name))),
                },
                Planned::Rewrite(node, name, explicit) => check
                    .check_object(&node, &name)
                    .map(|()| vec![Piece::New(node, explicit)]),
                Planned::Keep(part) => check.check_part(part).and_then(|()| Piece::kept(part, format)),
            };
            match piece {
                Ok(more) => pieces.extend(more),
                Err(failure) => failures.add(failure.about(input.label()))?,
            }
        }
        if pieces.is_empty() {
            return Ok((None, reports));
        }
        let text = join(pieces, format)?;
        check.check_output(text.expose())?;
        Ok((Some(text), reports))
    }
}
