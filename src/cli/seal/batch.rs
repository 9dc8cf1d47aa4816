//! The documents of one command: which are sealed, which pass through, and the checks of the whole output.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::args::Format;
use super::super::failure::{Failure, Result};
use super::super::failures::Failures;
use super::super::input::Input;
use super::super::output::{Piece, join};
use super::document::{Prepared, Sealer, place_name};
use super::leaks::LeakCheck;
use crate::envelope::Document;
use crate::manifest::{Item, ManifestError, Node, Part, PlaintextFinding, SecretBuffer, Treatment};

/// All documents of a command, in order.
pub(super) struct Batch<'s, 'p> {
    sealer: &'s Sealer,
    pass_plain: bool,
    format: Format,
    planned: Vec<(&'p Input, Planned<'p>)>,
    /// The namespaces and names of all sealed documents, with the line of the first.
    places: HashMap<String, String>,
}

/// What happens to one document or object, and the reports of it: `passed through: ConfigMap prod/app`.
enum Planned<'p> {
    /// It is sealed; whether it began with `---`.
    Seal(Box<Prepared>, bool),
    /// It is rewritten; its name and whether it began with `---`.
    Rewrite(Node, String, bool, String),
    /// It passes through byte for byte.
    Keep(&'p Part<'p>, Vec<String>),
}

impl<'s, 'p> Batch<'s, 'p> {
    pub(super) fn new(sealer: &'s Sealer, pass_plain: bool, format: Format) -> Self {
        Batch {
            sealer,
            pass_plain,
            format,
            planned: Vec::new(),
            places: HashMap::new(),
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
            if let Err(failure) = self.check_list(input, part) {
                return failures.add(failure.about(input.label()));
            }
            for item in &items {
                match self.plan_item(input, part, item) {
                    Ok(planned) => self.planned.push((input, planned)),
                    Err(failure) => failures.add(failure.about(input.label()))?,
                }
            }
            return Ok(());
        }
        match self.plan_part(input, part) {
            Ok(reports) => {
                self.planned.push((input, Planned::Keep(part, reports)));
                Ok(())
            }
            Err(failure) => failures.add(failure.about(input.label())),
        }
    }

    /// The fields of a list beside its items are lost. Those of a kustomize function are no part of any object.
    fn check_list(&self, input: &Input, part: &Part<'_>) -> Result<()> {
        const OF_FUNCTIONS: [&str; 2] = ["functionConfig", "results"];
        for (line, field) in part.fields_beside_items() {
            if !OF_FUNCTIONS.contains(&field.as_str()) {
                return Err(ManifestError::BesideItems { line, field }.into());
            }
            self.sealer.printer.warning(&format!(
                "{}: line {line}: {field} is dropped: only the items are sealed or passed through",
                input.label()
            ));
        }
        Ok(())
    }

    /// Plans a Secret, or another object of the same list.
    fn plan_item(&mut self, input: &Input, part: &Part<'_>, item: &Item<'_>) -> Result<Planned<'p>> {
        if item.treatment() == Treatment::Secret {
            let prepared = self.sealer.prepare(item.secret()?, false)?;
            self.warn_if_repeated(input, item.line(), &place_name(&prepared.place));
            return Ok(Planned::Seal(Box::new(prepared), part.explicit));
        }
        self.refuse_plaintext(input, item.find_plaintext())?;
        self.refuse_invalid_sealed(input, item)?;
        let node = item.rewritable()?;
        let report = self.report(input, item);
        Ok(Planned::Rewrite(node, item.describe(), part.explicit, report))
    }

    /// Plans a document without a Secret; returns its reports.
    fn plan_part(&mut self, input: &Input, part: &Part<'_>) -> Result<Vec<String>> {
        part.check_object()?;
        self.refuse_plaintext(input, part.find_plaintext())?;
        let objects = part.all_objects();
        for object in &objects {
            self.refuse_invalid_sealed(input, object)?;
        }
        Ok(objects.iter().map(|object| self.report(input, object)).collect())
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
        let Err(why) = parsed else {
            return Ok(());
        };
        let (name, why) = (item.describe(), why.message);
        self.refuse_unless_passed(
            input,
            &format!("{name}: passed through, although it is not a valid sealed document: {why}"),
            Failure::failed(format!(
                "{name}: not a valid sealed document, so it may hold plaintext: {why}"
            ))
            .help(
                "seal the Secret itself (`kind: Secret`); or pass the document through with --pass-plain, for example one \
                 of a newer format",
            ),
        )
    }

    fn refuse_plaintext(&self, input: &Input, found: Option<PlaintextFinding>) -> Result<()> {
        let Some(PlaintextFinding { line, what }) = found else {
            return Ok(());
        };
        self.refuse_unless_passed(
            input,
            &format!("line {line}: passed through in plaintext: {what}"),
            Failure::failed(format!(
                "line {line}: this would pass through in plaintext: {what}"
            ))
            .help(
                "seal the Secret by itself, as `kind: Secret` of `apiVersion: v1`, and remove it here; \
                 or pass the document through with --pass-plain",
            ),
        )
    }

    /// With `--pass-plain`, prints the warning instead.
    fn refuse_unless_passed(&self, input: &Input, warning: &str, failure: Failure) -> Result<()> {
        if !self.pass_plain {
            return Err(failure);
        }
        self.sealer
            .printer
            .warning(&format!("{}: {warning}", input.label()));
        Ok(())
    }

    /// Reports a document that passes through.
    fn report(&mut self, input: &Input, item: &Item<'_>) -> String {
        let described = item.describe();
        if item.treatment() != Treatment::Sealed {
            return format!("passed through: {described}");
        }
        let place = described
            .split_once(' ')
            .map_or("EnvelopeSecret", |(_, place)| place);
        self.warn_if_repeated(input, item.line(), place);
        format!("already sealed: {place}")
    }

    /// kubectl applies both, so that the last one remains; kustomize and Argo CD complain.
    fn warn_if_repeated(&mut self, input: &Input, line: usize, place: &str) {
        let here = format!("{}: line {line}", input.label());
        match self.places.entry(place.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(here);
            }
            Entry::Occupied(first) => self.sealer.printer.warning(&format!(
                "{here}: {} is in the input twice (first at {}): only the last one takes effect",
                first.key(),
                first.get()
            )),
        }
    }

    /// Checks everything for leaks, seals, and checks the output. Returns it with the reports, or `None` if nothing is
    /// left to write.
    pub(super) async fn finish(self, failures: &mut Failures) -> Result<(Option<SecretBuffer>, Vec<String>)> {
        let Batch {
            sealer,
            format,
            planned,
            ..
        } = self;
        let secrets = planned.iter().filter_map(|(_, planned)| match planned {
            Planned::Seal(prepared, _) => Some(&**prepared),
            _ => None,
        });
        let check = LeakCheck::new(secrets, &sealer.recipients.list());
        let (mut pieces, mut reports, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (input, planned) in planned {
            let piece = match planned {
                Planned::Seal(prepared, explicit) => match check.check_secret(&prepared) {
                    Ok(()) => sealer.seal(*prepared).await.map(|done| {
                        sealed.push(done.report);
                        vec![Piece::New(done.object, explicit)]
                    }),
                    Err(failure) => {
                        let name = check.public_name(&format!("Secret {}", prepared.place.name));
                        Err(failure.about(name))
                    }
                },
                Planned::Rewrite(node, name, explicit, report) => {
                    check.check_object(&node, &name).map(|()| {
                        reports.push(report);
                        vec![Piece::New(node, explicit)]
                    })
                }
                Planned::Keep(part, more) => check.check_part(part).and_then(|()| {
                    let kept = Piece::kept(part, format)?;
                    reports.extend(more);
                    Ok(kept)
                }),
            };
            match piece {
                Ok(more) => pieces.extend(more),
                Err(failure) => failures.add(failure.about(input.label()))?,
            }
        }
        reports.append(&mut sealed);
        if pieces.is_empty() {
            return Ok((None, reports));
        }
        let text = join(pieces, format)?;
        check.check_output(text.expose())?;
        Ok((Some(text), reports))
    }
}
