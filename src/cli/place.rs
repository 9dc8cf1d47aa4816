//! The namespace and name of an object: from its manifest, else from flags.

use super::args::PlaceArgs;
use super::failure::{Failure, Result};
use super::program::Program;
use crate::envelope::names::{is_namespace, is_object_name};
use crate::manifest::{NAMESPACE, OBJECT_NAME, quoted};

/// `--namespace` and `--name`.
pub(super) struct PlaceRule {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    program: Program,
}

impl PlaceRule {
    /// Checks the flags; an empty flag counts as absent.
    pub(super) fn new(args: &PlaceArgs, program: &Program) -> Result<Self> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let rule = PlaceRule {
            namespace: given(&args.namespace),
            name: given(&args.name),
            program: program.clone(),
        };
        if let Some(namespace) = rule.namespace.as_deref().filter(|text| !is_namespace(text)) {
            return Err(Failure::usage(format!(
                "--namespace {} {NAMESPACE}",
                quoted(namespace)
            )));
        }
        if let Some(name) = rule.name.as_deref().filter(|text| !is_object_name(text)) {
            return Err(Failure::usage(format!("--name {} {OBJECT_NAME}", quoted(name))));
        }
        Ok(rule)
    }

    /// Returns the document's name, else `--name`.
    pub(super) fn resolve_name(&self, document: Option<&str>) -> Result<String> {
        resolve("name", document, self.name.as_deref())?
            .ok_or_else(|| Failure::usage("it has no name").help(self.program.rerun_with("--name NAME")))
    }

    /// Returns the document's namespace, else `--namespace`.
    pub(super) fn resolve_namespace(&self, document: Option<&str>) -> Result<Option<String>> {
        resolve("namespace", document, self.namespace.as_deref())
    }

    /// The failure of a document that needs a namespace and has none.
    pub(super) fn no_namespace(&self) -> Failure {
        Failure::usage("it has no namespace; only a cluster-wide document may omit it")
            .help(self.program.rerun_with("-n NAMESPACE"))
    }

    /// Values from flags need a name from a flag.
    pub(super) fn needs_name(&self) -> Result<()> {
        if self.name.is_none() {
            return Err(Failure::usage(
                "--from-file, --from-env-file and --from-literal need the Secret's name",
            )
            .help(self.program.rerun_with("--name NAME")));
        }
        Ok(())
    }

    /// A name cannot apply to several objects.
    pub(super) fn check_count(&self, objects: usize) -> Result<()> {
        if self.name.is_some() && objects > 1 {
            return Err(Failure::usage(format!("--name is given for {objects} objects")));
        }
        Ok(())
    }
}

fn resolve(what: &str, document: Option<&str>, flag: Option<&str>) -> Result<Option<String>> {
    match (document, flag) {
        (Some(document), Some(flag)) if document != flag => Err(Failure::usage(format!(
            "the {what} from the document {} does not match --{what} {}",
            quoted(document),
            quoted(flag)
        ))),
        (Some(document), _) => Ok(Some(document.to_owned())),
        (None, flag) => Ok(flag.map(str::to_owned)),
    }
}
