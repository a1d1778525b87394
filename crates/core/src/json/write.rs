//! Writes a tree as JSON text for people, as much of it as they are shown.

use std::fmt::Write as _;

use super::Node;

/// Stands where something was cut.
const CUT: char = '…';

impl Node<'_> {
    /// Appends the value as JSON without spaces, at most this many characters of it. One that was cut ends in '…'.
    pub(crate) fn write_json(&self, chars_max: usize, out: &mut String) {
        let mut writer = Writer { out, left: chars_max };
        if writer.node(self).is_err() {
            writer.out.pop();
            writer.out.push(CUT);
        }
    }
}

/// There is no room for more.
struct Full;

struct Writer<'o> {
    out: &'o mut String,
    left: usize,
}

impl Writer<'_> {
    fn char(&mut self, char: char) -> Result<(), Full> {
        self.left = self.left.checked_sub(1).ok_or(Full)?;
        self.out.push(char);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Full> {
        text.chars().try_for_each(|char| self.char(char))
    }

    /// Recursion is bounded by the depth that the parser allows.
    fn node(&mut self, node: &Node<'_>) -> Result<(), Full> {
        match node {
            Node::Null => self.text("null"),
            Node::Bool(value) => self.text(if *value { "true" } else { "false" }),
            Node::Number(number) => self.text(number),
            Node::Text(text) => self.string(text),
            Node::List(elements) => {
                self.char('[')?;
                for (index, element) in elements.iter().enumerate() {
                    self.comma(index)?;
                    self.node(element)?;
                }
                self.char(']')
            }
            Node::Map(members) => {
                self.char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    self.comma(index)?;
                    self.string(name)?;
                    self.char(':')?;
                    self.node(value)?;
                }
                self.char('}')
            }
        }
    }

    fn comma(&mut self, index: usize) -> Result<(), Full> {
        if index > 0 { self.char(',') } else { Ok(()) }
    }

    fn string(&mut self, text: &str) -> Result<(), Full> {
        self.char('"')?;
        for char in text.chars() {
            match char {
                '"' | '\\' => {
                    self.char('\\')?;
                    self.char(char)?;
                }
                char if char.is_control() => {
                    let mut escaped = String::new();
                    // Every control character lies in the first plane, so one escape is enough.
                    let _written = write!(escaped, "\\u{:04x}", u32::from(char));
                    self.text(&escaped)?;
                }
                char => self.char(char)?,
            }
        }
        self.char('"')
    }
}

#[cfg(test)]
mod tests {
    use crate::json;

    #[track_caller]
    fn check(json: &str, chars_max: usize, expect: &str) {
        let mut text = String::new();
        json::parse(json.as_bytes()).unwrap().write_json(chars_max, &mut text);
        assert_eq!(text, expect);
    }

    #[test]
    fn a_value_is_shown_as_json_and_cut_to_its_bound() {
        let all = r#"{"a":[1.50,null,true],"b":"ä\"\\\u000a"}"#;
        check(r#" { "a" : [1.50, null, true], "b" : "ä\"\\\n" } "#, 200, all);
        check(all, all.chars().count(), all);
        check(all, 8, r#"{"a":[1…"#);
        check(r#""ääää""#, 4, "\"ää…");
        check("17", 2, "17");
        check("17", 1, "…");
    }
}
