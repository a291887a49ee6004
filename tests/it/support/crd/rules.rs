//! The CEL rules of a CRD's schema, compiled and applied.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use cel::Context;
use cel::Env;
use cel::Program;
use cel::common::types::CelBool;
use cel::common::types::CelString;
use cel::extensions;
use serde_json::Value;

use crate::support::crd::schema::Structural;
use crate::support::crd::schema::fault;
use crate::support::crd::values;

/// A rule on a value.
pub(crate) struct Rule {
    text: String,
    program: Arc<Program>,
    message: Option<String>,
    message_program: Option<Arc<Program>>,
    /// Below the value, what the rule is about.
    field: String,
    old: Old,
}

/// What a rule does with the value that was there before: on create there was none.
enum Old {
    /// It can do without.
    Optional,
    /// It compares with it, and waits for an update.
    Required,
    /// It does not ask.
    Unused,
}

/// Compiles every text once.
pub(crate) struct Compiler {
    env: Arc<Env>,
    programs: HashMap<String, Arc<Program>>,
    n_rules: usize,
}

impl Compiler {
    pub(crate) fn new() -> Self {
        let mut env = Env::stdlib();
        env.add_extension(extensions::strings).unwrap();
        cel::add_overload!(env, fn is_ip: (CelString<'_>) -> CelBool, name = "isIP").unwrap();
        Self {
            env: Arc::new(env),
            programs: HashMap::new(),
            n_rules: 0,
        }
    }

    /// Reads the rules under `x-kubernetes-validations`.
    pub(crate) fn rules(&mut self, rules: Option<&Value>) -> Vec<Rule> {
        let rules = rules.and_then(Value::as_array);
        rules
            .into_iter()
            .flatten()
            .map(|it| self.rule(it))
            .collect()
    }

    fn rule(&mut self, rule: &Value) -> Rule {
        let rule = rule.as_object().unwrap();
        let unknown = rule.keys().find(|key| !KNOWN.contains(&key.as_str()));
        assert!(unknown.is_none(), "a rule has {unknown:?}");
        let text = |key: &str| {
            rule.get(key)
                .map(|it| it.as_str().unwrap().trim().to_owned())
        };
        let source = text("rule").unwrap();
        let program = self.program(&source);
        let is_optional = rule.get("optionalOldSelf") == Some(&Value::Bool(true));
        let asks = program.references().has_variable("oldSelf");
        self.n_rules += 1;
        Rule {
            program,
            text: source,
            message: text("message"),
            message_program: text("messageExpression").map(|it| self.program(&it)),
            field: text("fieldPath").unwrap_or_default(),
            old: match (asks, is_optional) {
                (false, _) => Old::Unused,
                (true, false) => Old::Required,
                (true, true) => Old::Optional,
            },
        }
    }

    fn program(&mut self, text: &str) -> Arc<Program> {
        let env = &self.env;
        let compile = || match env.compile(text) {
            Ok(program) => Arc::new(program),
            Err(error) => panic!("`{text}` does not compile: {error}"),
        };
        let program = self.programs.entry(text.to_owned());
        Arc::clone(program.or_insert_with(compile))
    }

    /// How many rules there are, and how many texts among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.n_rules, self.programs.len())
    }

    /// The functions that the rules call, operators aside.
    pub(crate) fn functions(&self) -> BTreeSet<String> {
        let mut functions = BTreeSet::new();
        for program in self.programs.values() {
            let references = program.references();
            let called = references.functions().into_iter();
            let named = called.filter(|name| name.starts_with(char::is_alphabetic));
            functions.extend(named.map(str::to_owned));
        }
        functions
    }
}

/// Applies every rule to its values.
pub(crate) fn check(
    schema: &Structural,
    value: &Value,
    compiler: &Compiler,
    faults: &mut Vec<String>,
) {
    schema.visit(value, "", &mut |schema, value, path| {
        if schema.rules.is_empty() || value.is_null() {
            return;
        }
        let mut context = Context::with_env(Arc::clone(&compiler.env));
        context.add_variable_from_value("self", values::cel(schema, value));
        for rule in &schema.rules {
            if let Some(message) = rule.refusal(&mut context) {
                faults.push(fault(&format!("{path}{}", rule.field), &message));
            }
        }
    });
}

impl Rule {
    /// Why the value may not stand.
    fn refusal(&self, context: &mut Context<'_, '_>) -> Option<String> {
        match self.old {
            Old::Required => return None,
            Old::Optional => {
                let none = Program::compile("optional.none()").unwrap();
                let none = none.execute(context).unwrap();
                context.add_variable_from_value("oldSelf", none);
            }
            Old::Unused => {}
        }
        match self.program.execute(context) {
            Ok(cel::Value::Bool(true)) => None,
            Ok(cel::Value::Bool(false)) => Some(self.message(context)),
            Ok(other) => Some(self.not_evaluated(&format!("{other:?} is no boolean"))),
            Err(error) => Some(self.not_evaluated(&error.to_string())),
        }
    }

    fn not_evaluated(&self, why: &str) -> String {
        let rule = self.message.as_ref().unwrap_or(&self.text);
        format!("{why} evaluating rule: {rule}")
    }

    fn message(&self, context: &Context<'_, '_>) -> String {
        let written = self.message_program.as_ref();
        if let Some(Ok(cel::Value::String(message))) = written.map(|it| it.execute(context))
            && is_line(&message)
        {
            return message.to_string();
        }
        let failed = || format!("failed rule: {}", self.text);
        self.message.clone().unwrap_or_else(failed)
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains('\n')
}

/// Kubernetes' `isIP`.
fn is_ip(text: &CelString<'_>) -> CelBool {
    CelBool::from(text.inner().parse::<IpAddr>().is_ok())
}

/// What can stand in a rule; `reason` is for machines only.
const KNOWN: &[&str] = &[
    "fieldPath",
    "message",
    "messageExpression",
    "optionalOldSelf",
    "reason",
    "rule",
];
