//! Shapes in Python: their types, what reads them, what writes them.

use super::super::model::{EventModel, Form, Format, Shape};

/// The type of a shape. Names stand in quotes.
pub(super) fn type_of(shape: &Shape, event: &EventModel) -> String {
    match shape {
        Shape::Text(Format::Plain) => "str".to_owned(),
        Shape::Text(Format::DateTime) => "DateTime".to_owned(),
        Shape::Text(Format::Date) => "CalendarDate".to_owned(),
        Shape::Text(Format::Uuid) => "Uuid".to_owned(),
        Shape::Integer { .. } => "int".to_owned(),
        Shape::Number => "float".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Raw => "Any".to_owned(),
        Shape::List(item) => format!("List[{}]", type_of(item, event)),
        Shape::Tuple(items) => {
            let items: Vec<String> = items.iter().map(|item| type_of(item, event)).collect();
            format!("Tuple[{}]", items.join(", "))
        }
        Shape::Map(value) => format!("Dict[str, {}]", type_of(value, event)),
        Shape::Nullable(inner) => format!("Optional[{}]", type_of(inner, event)),
        // In quotes: an alias is made when the module is read, and may speak of what stands below it.
        Shape::Named(index) => format!("\"{}\"", event.types[*index].name),
    }
}

/// What reads a shape, as an expression that is called with the JSON and its place.
pub(super) fn decoder(shape: &Shape, event: &EventModel) -> String {
    match shape {
        Shape::Text(_) => "shapes.string".to_owned(),
        Shape::Integer { .. } => "shapes.integer".to_owned(),
        Shape::Number => "shapes.number".to_owned(),
        Shape::Boolean => "shapes.boolean".to_owned(),
        Shape::Raw => "shapes.anything".to_owned(),
        Shape::List(item) => format!("shapes.list_of({})", decoder(item, event)),
        Shape::Tuple(items) => {
            let items: Vec<String> = items.iter().map(|item| decoder(item, event)).collect();
            format!("shapes.tuple_of({})", items.join(", "))
        }
        Shape::Map(value) => format!("shapes.dict_of({})", decoder(value, event)),
        Shape::Nullable(inner) => format!("shapes.nullable({})", decoder(inner, event)),
        Shape::Named(index) => {
            let named = &event.types[*index];
            match named.form {
                Form::Record(_) => format!("{}.from_json", named.name),
                Form::Enum(_) => format!("shapes.enum_of({})", named.name),
                Form::Union(_) | Form::Kinds(_) | Form::Map(_) => format!("_decode_{}", named.name),
            }
        }
    }
}

/// What writes a shape, as an expression that is called with the value; none where the value is its own JSON.
pub(super) fn encoder(shape: &Shape, event: &EventModel) -> Option<String> {
    match shape {
        Shape::List(_) | Shape::Tuple(_) | Shape::Map(_) | Shape::Nullable(_) => {
            let plain = encode_expression(shape, "value", event) == "value";
            (!plain).then(|| "shapes.encode".to_owned())
        }
        Shape::Named(index) => {
            let named = &event.types[*index];
            Some(match named.form {
                Form::Record(_) => format!("{}.to_json", named.name),
                Form::Enum(_) => "str".to_owned(),
                Form::Union(_) | Form::Kinds(_) | Form::Map(_) => format!("_encode_{}", named.name),
            })
        }
        _ => None,
    }
}

/// The JSON of an expression of a shape.
pub(super) fn encode_expression(shape: &Shape, expression: &str, event: &EventModel) -> String {
    match shape {
        Shape::Named(index) => match event.types[*index].form {
            Form::Record(_) => format!("{expression}.to_json()"),
            Form::Enum(_) => format!("{expression}.value"),
            Form::Union(_) | Form::Kinds(_) | Form::Map(_) => format!("shapes.encode({expression})"),
        },
        Shape::List(inner) | Shape::Map(inner) | Shape::Nullable(inner) => {
            let inner = encode_expression(inner, "value", event);
            if inner == "value" { expression.to_owned() } else { format!("shapes.encode({expression})") }
        }
        Shape::Tuple(_) => format!("shapes.encode({expression})"),
        _ => expression.to_owned(),
    }
}

pub(super) fn kind_of(shape: &Shape, event: &EventModel) -> &'static str {
    match shape {
        Shape::Text(_) => "string",
        Shape::Integer { .. } | Shape::Number => "number",
        Shape::Boolean => "boolean",
        Shape::List(_) | Shape::Tuple(_) => "list",
        Shape::Map(_) => "dict",
        Shape::Nullable(inner) => kind_of(inner, event),
        Shape::Raw => "anything",
        Shape::Named(index) => match &event.types[*index].form {
            Form::Enum(_) => "string",
            Form::Kinds(_) => "anything",
            Form::Record(_) | Form::Union(_) | Form::Map(_) => "dict",
        },
    }
}
