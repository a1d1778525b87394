//! From CEL's text to [`Ir`]. The text is parsed by the `cel` crate, without its macros: they are compiled here.

use cel::Env;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::ir::{Constant, Field, Function, Ir, Loop, LoopKind, Operator};
use super::pattern::Pattern;
use super::{DEPTH_MAX, LOOPS_MAX, Sees};
use crate::limits::RULE_CHARS_MAX;

/// An expression that is compiled, and the names of the sets that it looks into.
pub(super) struct Compiled {
    pub root: Ir,
    pub sets: Vec<String>,
}

/// Compiles a text; the error is for its author.
pub(super) fn compile(text: &str, sees: Sees) -> Result<Compiled, String> {
    if text.chars().count() > RULE_CHARS_MAX {
        return Err(format!("must have at most {RULE_CHARS_MAX} characters"));
    }
    check_nesting(text)?;
    // The parser is generated code that descends without a bound of its own into some texts, and of which nobody can say
    // that it never panics: it gets a stack that is large enough for what is let through, and may die alone.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let running =
            thread.spawn_scoped(scope, || parse(text, sees)).map_err(|_| "cannot be parsed now".to_owned())?;
        running.join().unwrap_or_else(|_| Err("is not CEL".to_owned()))
    })
}

fn parse(text: &str, sees: Sees) -> Result<Compiled, String> {
    let parser = Env::default().with_optional_support(false).parser();
    let parsed = parser.max_recursion_depth(PARSER_DEPTH_MAX).enable_ident_escape_syntax(true).parse(text);
    let tree = parsed.map_err(|errors| {
        errors.errors.first().map_or_else(
            || "is not CEL".to_owned(),
            |error| format!("is not CEL: {} (line {}, column {})", error.msg, error.pos.0, error.pos.1),
        )
    })?;
    let mut compiler = Compiler { sees, sets: Vec::new(), variables: Vec::new() };
    let root = compiler.expression(&tree, 0)?;
    Ok(Compiled { root, sets: compiler.sets })
}

/// The parser's stack. It takes less than 16 KiB a level, also where it is not optimized.
const STACK_BYTES: usize = 16 * 1024 * 1024;
/// How deep the parser descends.
const PARSER_DEPTH_MAX: u16 = 64;
/// Operators and opening brackets in a text. The parser makes a level of its tree of each in a chain like `1 + 1 + 1`,
/// and descends into it without a bound of its own.
const OPERATORS_MAX: usize = 400;

/// Refuses texts that could drive the parser into a very deep tree. Text within quotes is counted as well: to tell it
/// apart would need the parser.
fn check_nesting(text: &str) -> Result<(), String> {
    let operators = text.bytes().filter(|byte| b"+-*/%!<>=&|?([{.".contains(byte)).count();
    if operators > OPERATORS_MAX {
        return Err(format!("has more than {OPERATORS_MAX} operators, brackets and dots: split it into several rules"));
    }
    Ok(())
}

struct Compiler {
    sees: Sees,
    sets: Vec<String>,
    /// The variables of the loops around, the innermost last.
    variables: Vec<String>,
}

impl Compiler {
    fn expression(&mut self, tree: &IdedExpr, depth: usize) -> Result<Ir, String> {
        if depth > DEPTH_MAX {
            return Err(format!("is nested more than {DEPTH_MAX} levels deep"));
        }
        let depth = depth + 1;
        match &tree.expr {
            Expr::Literal(literal) => constant(literal).map(Ir::Const),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.member(&select.operand, &select.field, depth),
            Expr::Call(call) => self.call(call, depth),
            Expr::List(list) => Ok(Ir::List(self.all(&list.elements, depth)?)),
            Expr::Map(map) => {
                let entries = map.entries.iter().map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        Ok((self.expression(&entry.key, depth)?, self.expression(&entry.value, depth)?))
                    }
                    EntryExpr::StructField(_) => Err("messages are not known here".to_owned()),
                });
                entries.collect::<Result<_, _>>().map(Ir::Map)
            }
            Expr::Struct(_) => Err("messages are not known here".to_owned()),
            Expr::Comprehension(_) | Expr::Unspecified => Err("is not CEL".to_owned()),
        }
    }

    fn all(&mut self, trees: &[IdedExpr], depth: usize) -> Result<Vec<Ir>, String> {
        trees.iter().map(|tree| self.expression(tree, depth)).collect()
    }

    fn boxed(&mut self, tree: &IdedExpr, depth: usize) -> Result<Box<Ir>, String> {
        self.expression(tree, depth).map(Box::new)
    }

    fn name(&mut self, name: &str) -> Result<Ir, String> {
        if let Some(at) = self.variables.iter().rposition(|known| known == name) {
            return Ok(Ir::Variable(at));
        }
        match (name, self.sees) {
            ("data", _) => Ok(Ir::Data),
            ("event", Sees::Everything) => Err("'event' is used through its members, like event.entity.id".to_owned()),
            ("sets", Sees::Everything) => Err("'sets' is used like: data.currency in sets.currencies".to_owned()),
            (_, Sees::Everything) => Err(format!("there is no '{name}': an expression sees data, event and sets")),
            (_, Sees::Data) => Err(format!("there is no '{name}': an expression of a conversion sees data alone")),
        }
    }

    fn member(&mut self, operand: &IdedExpr, name: &str, depth: usize) -> Result<Ir, String> {
        if let Some(field) = self.field(operand, name) {
            let field = field?;
            if field.is_object() {
                return Err(format!("'event.{0}' is used through its members, like event.{0}.id", field.as_str()));
            }
            return Ok(Ir::Event(field));
        }
        if self.set(operand, name).is_some() {
            return Err(format!("a set is used like: data.currency in sets.{name}, or size(sets.{name})"));
        }
        Ok(Ir::Member(self.boxed(operand, depth)?, name.into()))
    }

    /// The place in the envelope that a chain of members names, if it begins with `event`.
    fn field(&self, operand: &IdedExpr, name: &str) -> Option<Result<Field, String>> {
        let mut names = vec![name];
        let mut at = operand;
        loop {
            match &at.expr {
                Expr::Select(select) => {
                    names.push(&select.field);
                    at = &select.operand;
                }
                Expr::Ident(root) if root == "event" && self.is_free(root) => break,
                _ => return None,
            }
        }
        names.reverse();
        let path = names.join(".");
        Some(Field::parse(&path).ok_or_else(|| match path.strip_prefix("data") {
            Some(_) => "the data is seen as 'data', not as 'event.data'".to_owned(),
            None => {
                let known: Vec<&str> = Field::ALL.iter().map(|field| field.as_str()).collect();
                format!("there is no event.{path}; there are {}", known.join(", "))
            }
        }))
    }

    /// The set that `sets.name` names.
    fn set<'n>(&self, operand: &IdedExpr, name: &'n str) -> Option<&'n str> {
        match &operand.expr {
            Expr::Ident(root) if root == "sets" && self.is_free(root) => Some(name),
            _ => None,
        }
    }

    /// Whether a name of ours is not that of a loop's variable, and can be used here.
    fn is_free(&self, name: &str) -> bool {
        self.sees == Sees::Everything && !self.variables.iter().any(|known| known == name)
    }

    /// The number of a set that a tree names, if it names one.
    fn set_of(&mut self, tree: &IdedExpr) -> Option<usize> {
        let Expr::Select(select) = &tree.expr else { return None };
        let name = self.set(&select.operand, &select.field)?;
        let known = self.sets.iter().position(|known| known == name);
        Some(known.unwrap_or_else(|| {
            self.sets.push(name.to_owned());
            self.sets.len() - 1
        }))
    }

    fn call(&mut self, call: &CallExpr, depth: usize) -> Result<Ir, String> {
        let name = call.func_name.as_str();
        let args = call.args.as_slice();
        if let Some(target) = &call.target {
            return match (LoopKind::parse(name), args) {
                (Some(kind), _) => self.looped(kind, target, args, depth),
                (None, _) => {
                    let all: Vec<&IdedExpr> = std::iter::once(&**target).chain(args).collect();
                    self.function(name, &all, depth)
                }
            };
        }
        if let [a, b] = args
            && let Some(operator) = binary(name)
        {
            return Ok(Ir::Binary(operator, self.boxed(a, depth)?, self.boxed(b, depth)?));
        }
        match (name, args) {
            (operators::CONDITIONAL, [test, yes, no]) => {
                Ok(Ir::If(self.boxed(test, depth)?, self.boxed(yes, depth)?, self.boxed(no, depth)?))
            }
            (operators::LOGICAL_AND, [a, b]) => Ok(Ir::And(self.boxed(a, depth)?, self.boxed(b, depth)?)),
            (operators::LOGICAL_OR, [a, b]) => Ok(Ir::Or(self.boxed(a, depth)?, self.boxed(b, depth)?)),
            (operators::LOGICAL_NOT, [a]) => Ok(Ir::Not(self.boxed(a, depth)?)),
            (operators::NEGATE, [a]) => Ok(Ir::Negate(self.boxed(a, depth)?)),
            (operators::IN, [a, b]) => match self.set_of(b) {
                Some(set) => Ok(Ir::InSet(self.boxed(a, depth)?, set)),
                None => Ok(Ir::In(self.boxed(a, depth)?, self.boxed(b, depth)?)),
            },
            (operators::INDEX, [a, b]) => match &b.expr {
                Expr::Literal(LiteralValue::String(name)) => self.member(a, name.inner(), depth),
                _ => Ok(Ir::Index(self.boxed(a, depth)?, self.boxed(b, depth)?)),
            },
            (operators::HAS, [a]) => self.has(a, depth),
            (operators::HAS, _) => Err("has() takes one member, like has(data.discount)".to_owned()),
            _ => self.function(name, &args.iter().collect::<Vec<_>>(), depth),
        }
    }

    fn has(&mut self, tree: &IdedExpr, depth: usize) -> Result<Ir, String> {
        let (operand, name) = match &tree.expr {
            Expr::Select(select) => (&*select.operand, select.field.as_str()),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::INDEX, [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]) => {
                    (operand, name.inner())
                }
                _ => return Err("has() takes a member, like has(data.discount)".to_owned()),
            },
            _ => return Err("has() takes a member, like has(data.discount)".to_owned()),
        };
        if let Some(field) = self.field(operand, name) {
            return field.map(Ir::HasEvent);
        }
        Ok(Ir::HasMember(self.boxed(operand, depth)?, name.into()))
    }

    fn looped(&mut self, kind: LoopKind, range: &IdedExpr, args: &[IdedExpr], depth: usize) -> Result<Ir, String> {
        let (variable, test, make) = match (kind, args) {
            (LoopKind::Map, [variable, make]) => (variable, None, Some(make)),
            (LoopKind::Map, [variable, test, make]) => (variable, Some(test), Some(make)),
            (LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter, [variable, test]) => {
                (variable, Some(test), None)
            }
            _ => {
                return Err(
                    "a loop takes a variable and an expression, like data.items.all(item, item.count > 0)".to_owned()
                );
            }
        };
        let Expr::Ident(variable) = &variable.expr else {
            return Err("the first argument of a loop is its variable's name".to_owned());
        };
        if matches!(variable.as_str(), "data" | "event" | "sets") {
            return Err(format!("a loop's variable must not be called '{variable}'"));
        }
        if self.variables.len() >= LOOPS_MAX {
            return Err(format!("has more than {LOOPS_MAX} loops within each other"));
        }
        let range = self.expression(range, depth)?;
        self.variables.push(variable.clone());
        let test = test.map(|test| self.expression(test, depth)).transpose();
        let make = make.map(|make| self.expression(make, depth)).transpose();
        self.variables.pop();
        Ok(Ir::Loop(Box::new(Loop { kind, range, test: test?, make: make? })))
    }

    fn function(&mut self, name: &str, args: &[&IdedExpr], depth: usize) -> Result<Ir, String> {
        if name == "matches" {
            return self.matches(args, depth);
        }
        let Some(function) = Function::parse(name) else {
            let known: Vec<&str> = Function::ALL.iter().map(|known| known.as_str()).collect();
            return Err(format!("there is no function '{name}'; there are matches, {}", known.join(", ")));
        };
        let (min, max) = function.arity();
        if !(min..=max).contains(&args.len()) {
            let wanted = if min == max { min.to_string() } else { format!("{min} to {max}") };
            return Err(format!("{name}() takes {wanted} arguments, what it is called on counted"));
        }
        if let (Function::Size, [of]) = (function, args)
            && let Some(set) = self.set_of(of)
        {
            return Ok(Ir::SizeOfSet(set));
        }
        let args = args.iter().map(|arg| self.expression(arg, depth)).collect::<Result<_, _>>()?;
        Ok(Ir::Call(function, args))
    }

    fn matches(&mut self, args: &[&IdedExpr], depth: usize) -> Result<Ir, String> {
        let [text, IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }] = args else {
            return Err("matches() takes a text and a pattern that stands there as a string".to_owned());
        };
        let pattern = Pattern::compile(pattern.inner())?;
        Ok(Ir::Matches(self.boxed(text, depth)?, Box::new(pattern)))
    }
}

impl LoopKind {
    fn parse(name: &str) -> Option<Self> {
        match name {
            operators::ALL => Some(Self::All),
            operators::EXISTS => Some(Self::Exists),
            operators::EXISTS_ONE => Some(Self::ExistsOne),
            operators::FILTER => Some(Self::Filter),
            operators::MAP => Some(Self::Map),
            _ => None,
        }
    }
}

fn binary(name: &str) -> Option<Operator> {
    Some(match name {
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}

fn constant(literal: &LiteralValue) -> Result<Constant, String> {
    Ok(match literal {
        LiteralValue::Boolean(bool) => Constant::Bool(*bool.inner()),
        LiteralValue::Double(float) => Constant::Float(*float.inner()),
        LiteralValue::Int(int) => Constant::Int(*int.inner()),
        LiteralValue::UInt(unsigned) => Constant::Unsigned(*unsigned.inner()),
        LiteralValue::Null => Constant::Null,
        LiteralValue::String(text) => Constant::Text(text.inner().into()),
        LiteralValue::Bytes(_) => return Err("bytes are not known here".to_owned()),
    })
}
