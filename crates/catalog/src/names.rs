//! Whether a type's name says what happened: `domain.entity.past_tense_action`.
//!
//! A finding carries the whole name that would pass, put together from all that is wrong with it; none where what was
//! meant can only be guessed. What is proposed always passes itself. English is not a matter of tables alone: where the
//! rules are mistaken, a definition says so with `name_exception`.

use tidings_event::EventType;

use crate::definition::Definition;
use crate::report::{Finding, Severity, Subject};

mod forms;
mod words;

use forms::{is_participle, is_particle};

/// Judges a name.
#[must_use]
pub fn lint(name: &EventType) -> Vec<Finding> {
    let name = Name::judged(name);
    let proposal = name.proposal();
    name.into_findings(proposal.as_deref())
}

/// Judges a definition's name. Where it carries a reason for an exception, nothing of it is an error.
#[must_use]
pub fn lint_definition(definition: &Definition) -> Vec<Finding> {
    let mut findings = lint(&definition.name);
    if let Some(reason) = &definition.name_exception {
        for finding in findings.iter_mut().filter(|finding| finding.severity != Severity::Info) {
            finding.severity = Severity::Info;
            finding.message = format!("{} (excepted: {reason})", finding.message);
        }
    }
    findings
}

/// A name on its way to one that passes.
struct Name {
    original: String,
    segments: Vec<String>,
    found: Vec<(Severity, &'static str, String)>,
    /// Whether it is known what is meant, so that the segments are a name to propose.
    understood: bool,
}

/// What is wrong with an action: the code, the message, and the action instead of it, if it is known what is meant.
type Mended = (&'static str, String, Option<String>);

impl Name {
    fn judged(name: &EventType) -> Self {
        let segments = name.as_str().split('.').map(str::to_owned).collect();
        let mut name = Self { original: name.to_string(), segments, found: Vec::new(), understood: true };
        name.versions();
        name.plurals();
        name.generic();
        name.action();
        name.length();
        name
    }

    /// The name instead of it, if there is one that passes.
    fn proposal(&self) -> Option<String> {
        let proposal = self.segments.join(".");
        if !self.understood || proposal == self.original {
            return None;
        }
        let judged = Self::judged(&EventType::parse(&proposal).ok()?);
        judged.found.iter().all(|(severity, ..)| *severity == Severity::Info).then_some(proposal)
    }

    fn error(&mut self, code: &'static str, message: String) {
        self.found.push((Severity::Error, code, message));
    }

    fn last(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    /// The segment before the action.
    fn entity(&self) -> &str {
        self.segments.len().checked_sub(2).map_or("", |index| self.segments[index].as_str())
    }

    fn set_last(&mut self, action: String) {
        if let Some(last) = self.segments.last_mut() {
            *last = action;
        }
    }

    fn into_findings(self, proposal: Option<&str>) -> Vec<Finding> {
        let finding = |(severity, code, message)| Finding {
            severity,
            subject: Subject::Name,
            code,
            path: "/name".to_owned(),
            line: None,
            message,
            proposal: proposal.filter(|_| severity != Severity::Info).map(str::to_owned),
            witness: None,
            overridable: false,
        };
        self.found.into_iter().map(finding).collect()
    }

    /// Versions stand in `version`, not in the name.
    fn versions(&mut self) {
        let last = self.segments.len() - 1;
        let mut kept = Vec::new();
        for (index, segment) in std::mem::take(&mut self.segments).into_iter().enumerate() {
            let bare = without_version(&segment, index == last);
            if bare != Some(segment.as_str()) {
                let message = format!("\"{segment}\" carries a version: that is what the member \"version\" is for");
                self.error("name_version_suffix", message);
            }
            kept.extend(bare.map(str::to_owned));
        }
        // A name that is nothing but versions has nothing left to judge but itself.
        self.segments = if kept.is_empty() { self.original.split('.').map(str::to_owned).collect() } else { kept };
    }

    /// An event tells of one entity.
    fn plurals(&mut self) {
        // The domain may be a plural (`payments.…`); where there are two segments only, the first is the entity.
        let first = usize::from(self.segments.len() > 2);
        let last = self.segments.len().saturating_sub(1);
        for index in first..last {
            let segment = self.segments[index].clone();
            let (before, word) =
                segment.rsplit_once('_').map_or(("", segment.as_str()), |(before, word)| (before, word));
            if let Some(one) = forms::singular(word) {
                let singular = if before.is_empty() { one } else { format!("{before}_{one}") };
                let message = format!("\"{segment}\" is a plural, and an event happens to one: \"{singular}\"");
                let certain = forms::is_counted(singular.rsplit('_').next().unwrap_or_default());
                let severity = if certain { Severity::Error } else { Severity::Warning };
                self.found.push((severity, "name_plural", message));
                self.segments[index] = singular;
            }
        }
    }

    /// Words that say nothing.
    fn generic(&mut self) {
        // A domain may be called `data`; where there are two segments only, the first is the entity.
        let first = usize::from(self.segments.len() > 2);
        let last = self.segments.len() - 1;
        for segment in &self.segments[first..last] {
            if forms::is_generic(segment) && !matches!(segment.as_str(), "message" | "event" | "item" | "activity") {
                let message = format!("\"{segment}\" says nothing: name the entity that something happens to");
                self.found.push((Severity::Warning, "name_generic", message));
            }
        }
        let action = self.last().to_owned();
        if let Some((rest, word)) = action.rsplit_once('_')
            && matches!(word, "event" | "events" | "notification" | "message")
            && !rest.is_empty()
            && !forms::is_verb(rest.split('_').next().unwrap_or(rest))
        {
            self.error("name_generic", format!("\"{word}\" says nothing: every event is one"));
            self.set_last(rest.to_owned());
        }
    }

    fn length(&mut self) {
        match self.original.split('.').count() {
            3 => {}
            2 => self.found.push((
                Severity::Info,
                "name_short",
                "names have three segments as a rule: domain.entity.past_tense_action".to_owned(),
            )),
            _ => self.found.push((
                Severity::Info,
                "name_long",
                "names have three segments as a rule: domain.entity.past_tense_action; prefixes of four and more are \
                 harder to subscribe to"
                    .to_owned(),
            )),
        }
    }

    /// The last segment says that something has happened.
    fn action(&mut self) {
        let original = self.last().to_owned();
        let mut words: Vec<String> = original.split('_').map(str::to_owned).collect();
        let tenses = leading_tenses(&words);
        if tenses > 0 {
            let said = words[..tenses].join("_");
            words.drain(..tenses);
            self.error(
                "name_tense_word",
                format!("\"{said}\" is left out: that it has happened is what an event says"),
            );
        }
        if original.split('_').take(tenses).any(forms::is_future) {
            // What will be is another thing than what has been.
            self.understood = false;
        }
        match tells(&words) {
            Tells::Certainly => self.set_last(words.join("_")),
            Tells::Perhaps(message) => {
                self.found.push((Severity::Warning, "name_not_past_tense", message));
                self.understood = false;
            }
            Tells::Nothing => {
                let (code, message, action) = self.mend(&original, &words);
                self.error(code, message);
                match action {
                    Some(action) => self.set_last(action),
                    None => self.understood = false,
                }
            }
        }
    }

    /// What is wrong with an action that does not tell what happened, and how it would.
    fn mend(&self, original: &str, words: &[String]) -> Mended {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return unclear(original);
        };
        if words.len() == 1 {
            return self.mend_word(original, last);
        }
        if is_phrase(words) {
            return unclear(original);
        }
        let object = &words[..words.len() - 1];
        if let Some(state) = forms::of_state(last).filter(|_| !forms::is_verb(last) && !forms::is_verb(first)) {
            let done = self.done_to(object, state);
            let message = format!("\"{original}\" is a state; say that it began: \"{done}\"");
            return ("name_state", message, Some(done));
        }
        if forms::is_field(last) && !forms::is_verb(first) {
            let (code, message, done) = self.mend_word(original, last);
            return (code, message, done.map(|done| self.done_to(object, &done)));
        }
        // A verb first is a command: send_email. What it commands is the entity, or what the action says it of.
        let names_the_object = *first == self.entity() || (forms::is_nounish(first) && !forms::is_nounish(last));
        if forms::is_verb(first) && !(names_the_object && forms::is_verb(last)) {
            let message = format!(
                "\"{original}\" asks for something to be done (\"{first}\"); an event says that it has happened"
            );
            // Two words that are nouns more often are one thing, like a credit_note.
            let is_thing = forms::is_nounish(first) && forms::is_nounish(last) && *last != self.entity();
            let done = (!is_thing).then(|| self.done_to(&words[1..], &forms::participle(first)));
            return ("name_command", message, done);
        }
        if let Some(base) = forms::base_of_progressive(first).or_else(|| forms::base_of_present(first)) {
            let message = format!("\"{original}\" says what is going on (\"{first}\"), not what has happened");
            return ("name_present", message, Some(self.done_to(&words[1..], &forms::participle(&base))));
        }
        // Otherwise the last word says what is done: order_create, order_creation. But a pending_cancellation is a kind of
        // cancellation, and an rss_feed a thing.
        let (code, message, done) = self.mend_word(original, last);
        if forms::is_no_noun(first) || (forms::is_nounish(last) && *first != self.entity()) {
            return unclear(original);
        }
        (code, message, done.map(|done| self.done_to(object, &done)))
    }

    fn mend_word(&self, original: &str, word: &str) -> Mended {
        let noun = |done: String| {
            ("name_noun", format!("\"{original}\" is a thing; say what happened: \"{done}\""), Some(done))
        };
        if let Some(done) = forms::of_noun(word) {
            return noun(done);
        }
        if let Some(state) = forms::of_state(word) {
            let message = format!("\"{original}\" is a state; say that it began: \"{state}\"");
            return ("name_state", message, Some(state.to_owned()));
        }
        if forms::is_verb(word) {
            let done = forms::participle(word);
            let asks = format!("\"{original}\" asks for something to be done; an event says that it has happened");
            // `cost` is its own participle, and yet says nothing.
            let says = done != word && forms::tells_alone(&done);
            let message = if says { format!("{asks}: \"{done}\"") } else { asks };
            return ("name_command", message, says.then_some(done));
        }
        if let Some(done) = forms::of_simple_past(word).filter(|done| forms::tells_alone(done)) {
            let message = format!("events are named by participles: \"{done}\" instead of \"{word}\"");
            return ("name_not_past_tense", message, Some(done.to_owned()));
        }
        if let Some(base) = forms::base_of_progressive(word) {
            let done = forms::participle(&base);
            let message = format!("\"{original}\" is going on; an event says that it has happened: \"{done}\"");
            return ("name_progressive", message, Some(done));
        }
        if let Some(base) = forms::base_of_present(word) {
            let done = forms::participle(&base);
            let message = format!("\"{original}\" is the present; an event says that it has happened: \"{done}\"");
            return ("name_present", message, Some(done));
        }
        if forms::is_generic(word) {
            let message = format!("\"{original}\" says nothing: say what happened, like \"created\" or \"changed\"");
            return ("name_generic", message, Some("changed".to_owned()));
        }
        if forms::is_field(word) {
            let done = format!("{word}_changed");
            let message =
                format!("\"{original}\" does not say what happened: end with a past participle, like \"{done}\"");
            return ("name_not_past_tense", message, Some(done));
        }
        unclear(original)
    }

    /// An action of an object and a participle; the object is left out where it is the entity itself.
    fn done_to(&self, object: &[String], done: &str) -> String {
        let entity = self.entity();
        let mut object = object.join("_");
        // Words that say how, `send_to_customer`, or what becomes of it, `make_public`, stay behind the participle.
        let (first, last) = (object.split('_').next(), object.rsplit('_').next());
        if first.is_some_and(is_particle) || (!object.contains('_') && last.is_some_and(forms::is_no_noun)) {
            return format!("{done}_{object}");
        }
        if let Some(one) = forms::singular(object.rsplit('_').next().unwrap_or_default()) {
            object = match object.rsplit_once('_') {
                Some((before, _)) => format!("{before}_{one}"),
                None => one,
            };
        }
        let is_entity = object == entity || entity.ends_with(&format!("_{object}"));
        if object.is_empty() || is_entity || done.starts_with(&format!("{object}_")) {
            done.to_owned()
        } else {
            format!("{object}_{done}")
        }
    }
}

/// How many words at the front only say when, and add nothing to what follows.
fn leading_tenses(words: &[String]) -> usize {
    let count = words.iter().take_while(|word| forms::is_tense(word)).count();
    // `got`, `had` and the like alone are participles of their own.
    if count == words.len() { count.saturating_sub(1) } else { count }
}

/// What is said of an action of which nobody knows what it means.
fn unclear(original: &str) -> Mended {
    let message = format!("\"{original}\" does not say what happened: end with a past participle, like \"created\"");
    ("name_not_past_tense", message, None)
}

/// Whether words are put together in a way of which the parts do not say what is meant: `out_of_stock`,
/// `trial_will_end`, `ready_for_review`.
fn is_phrase(words: &[String]) -> bool {
    let inner = words.get(1..).unwrap_or_default();
    let commands = words.first().is_some_and(|first| forms::is_verb(first));
    words.first().is_some_and(|first| is_particle(first))
        || inner.iter().any(|word| forms::is_tense(word) && !is_particle(word))
        || inner.iter().any(|word| is_particle(word) && (!commands || matches!(word.as_str(), "of" | "for")))
}

/// Whether an action tells of something that has happened.
enum Tells {
    Certainly,
    /// It may as well be something else; says what.
    Perhaps(String),
    Nothing,
}

/// An action tells with a participle at its end, or before a word that belongs to it (`user_logged_in`,
/// `moved_to_trash`, `made_public`). A participle before a noun may tell, and may say of which kind the noun is.
fn tells(words: &[String]) -> Tells {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Tells::Nothing };
    if words.len() == 1 {
        return match first {
            word if !is_participle(word) || !forms::tells_alone(word) => Tells::Nothing,
            word if forms::is_like_an_adjective(word) => {
                Tells::Perhaps(format!("\"{word}\" reads like what something is, not like what happened to it"))
            }
            _ => Tells::Certainly,
        };
    }
    let with_follower = words.windows(2).any(|pair| match pair {
        [word, follower] => (is_participle(word) && is_particle(follower)) || forms::is_taken(word),
        _ => false,
    });
    let leads = is_participle(first) && !forms::is_ambiguous(first);
    if is_participle(last) || with_follower || (leads && forms::is_no_noun(last)) {
        return Tells::Certainly;
    }
    if leads {
        let action = words.join("_");
        return Tells::Perhaps(format!(
            "\"{action}\" reads like a thing that is \"{first}\"; end with the participle that says what happened"
        ));
    }
    Tells::Nothing
}

/// A segment without the version that it carries; none if it is nothing else.
fn without_version(segment: &str, last: bool) -> Option<&str> {
    let digits = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    if digits.len() == segment.len() {
        return Some(segment);
    }
    let numbered = |rest: &str| rest.strip_suffix("_v").or_else(|| rest.strip_suffix("_version")).map(str::len);
    if digits == "v" || digits == "version" {
        return None;
    }
    if let Some(length) = numbered(digits) {
        return Some(&segment[..length]);
    }
    let bare = digits.trim_end_matches('_');
    // `created2`, `created_2`; but `oauth2` within a name is its own.
    if last && (digits.ends_with('_') || is_participle(bare.rsplit('_').next().unwrap_or(bare))) {
        return Some(bare);
    }
    Some(segment)
}

#[cfg(test)]
mod tests;
