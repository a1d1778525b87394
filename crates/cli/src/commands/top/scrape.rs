//! What `/metrics` says, read and compared.

use std::collections::{BTreeMap, HashMap};

/// One series of a metric.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Series {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// One answer of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scrape {
    series: HashMap<String, Vec<Series>>,
}

impl Scrape {
    /// Reads Prometheus's text format. Lines that are not understood are left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for (name, series) in text.lines().filter(|line| !line.starts_with('#')).filter_map(line) {
            scrape.series.entry(name.to_owned()).or_default().push(series);
        }
        scrape
    }

    /// The sum of all series that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &&Series| labels.iter().all(|(label, value)| series.label(label) == Some(value));
        self.of(name).filter(has).map(|series| series.value).sum()
    }

    /// The largest of all series.
    pub(super) fn max(&self, name: &str) -> f64 {
        self.of(name).map(|series| series.value).fold(0.0, f64::max)
    }

    /// The sums by one label.
    pub(super) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for series in self.of(name) {
            *sums.entry(series.label(label).unwrap_or_default().to_owned()).or_insert(0.0) += series.value;
        }
        sums
    }

    /// A label of the first series.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.of(name).next()?.label(label)
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Series> {
        self.series.get(name).into_iter().flatten()
    }
}

fn line(line: &str) -> Option<(&str, Series)> {
    let (head, value) = line.trim_end().rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = head.split_once('{') else { return Some((head, Series { labels: Vec::new(), value })) };
    Some((name, Series { labels: labels(rest.strip_suffix('}')?)?, value }))
}

fn labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.trim_start_matches(',').to_owned(), value));
        text = &rest[end + 1..];
    }
    Some(labels)
}

/// Two answers of each node, and the seconds that lie between them.
pub(super) struct Span<'a> {
    pub(super) pairs: Vec<(&'a Scrape, &'a Scrape, f64)>,
}

impl Span<'_> {
    /// By how much a counter grew a second, all nodes together.
    pub(super) fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let grown = self.pairs.iter().map(|(old, new, seconds)| {
            let (old, new) = (old.sum(name, labels), new.sum(name, labels));
            // A counter that fell began anew.
            (if new >= old { new - old } else { new }) / seconds
        });
        grown.sum()
    }

    /// Quantiles of what a histogram observed, all nodes together; none where it observed nothing.
    pub(super) fn quantiles<const N: usize>(&self, name: &str, wanted: [f64; N]) -> Option<[f64; N]> {
        let bucket = format!("{name}_bucket");
        let mut grown: BTreeMap<String, f64> = BTreeMap::new();
        for (old, new, _) in &self.pairs {
            let before = old.by(&bucket, "le");
            for (bound, count) in new.by(&bucket, "le") {
                let before = before.get(&bound).copied().filter(|before| *before <= count).unwrap_or(0.0);
                *grown.entry(bound).or_insert(0.0) += count - before;
            }
        }
        let mut buckets: Vec<(f64, f64)> =
            grown.into_iter().filter_map(|(bound, count)| Some((bound.parse().ok()?, count))).collect();
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let all = buckets.last().map_or(0.0, |(_, count)| *count);
        (all > 0.0).then(|| wanted.map(|share| quantile(&buckets, share * all)))
    }

    /// The mean of what a histogram observed.
    pub(super) fn mean(&self, name: &str) -> Option<f64> {
        let (sum, count) = (self.rate(&format!("{name}_sum"), &[]), self.rate(&format!("{name}_count"), &[]));
        (count > 0.0).then(|| sum / count)
    }
}

/// The value below which so many of the observations lie, as Prometheus estimates it: even within a bucket.
fn quantile(buckets: &[(f64, f64)], rank: f64) -> f64 {
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank && *count > below {
            return if bound.is_finite() { low + (bound - low) * (rank - below) / (count - below) } else { low };
        }
        (low, below) = (if bound.is_finite() { *bound } else { low }, *count);
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"q\\\"\\\\\"} 3\na{x=\"2\"} 4.5\nb 1e3\nbroken{x=\"1\n\
        h_bucket{le=\"0.1\"} 0\nh_bucket{le=\"1\"} 90\nh_bucket{le=\"+Inf\"} 100\nh_sum 60\nh_count 100\n";

    #[test]
    fn the_text_format_is_read() {
        let scrape = Scrape::parse(TEXT);
        assert_eq!((scrape.sum("a", &[]), scrape.sum("a", &[("x", "2")]), scrape.sum("b", &[])), (7.5, 4.5, 1_000.0));
        assert_eq!(scrape.label("a", "y"), Some("q\"\\"));
        assert_eq!((scrape.sum("none", &[]), scrape.max("a")), (0.0, 4.5));
        assert_eq!(scrape.by("a", "x")["1"], 3.0);
    }

    #[test]
    fn rates_and_quantiles_are_of_what_came_in_between() {
        let (old, new) = (Scrape::default(), Scrape::parse(TEXT));
        let span = Span { pairs: vec![(&old, &new, 2.0)] };
        assert_eq!(span.rate("a", &[]), 3.75);
        assert_eq!(span.mean("h"), Some(0.6));
        let [half, most] = span.quantiles("h", [0.5, 0.99]).unwrap();
        assert!((half - 0.6).abs() < 1e-9 && (most - 1.0).abs() < 1e-9, "{half} {most}");
        let same = Span { pairs: vec![(&new, &new, 2.0)] };
        assert_eq!((same.rate("a", &[]), same.quantiles("h", [0.5])), (0.0, None));
        let restarted = Span { pairs: vec![(&new, &old, 1.0)] };
        assert_eq!(restarted.rate("a", &[]), 0.0);
    }
}
