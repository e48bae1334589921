//! The page around the charts.

use std::fmt::{Display, Write as _};

use super::chart;
use crate::{
    compare::{Cell, Comparison},
    format::{count, duration_us, moment},
    run::Run,
};

/// The whole page.
#[must_use]
pub fn html(comparison: &Comparison) -> String {
    let runs = [Some(&comparison.reprise), comparison.bare.as_ref()];
    let end_ms = runs.iter().flatten().map(|run| run.times.end_ms).max().unwrap_or(0);
    let mut body = header(comparison);
    section(&mut body, "Reprise beside bare Envoy", &table(comparison));
    let mut charts = format!(
        "<h2>Latency with Reprise</h2>{}",
        chart::latency("Reprise", &comparison.reprise, end_ms)
    );
    if let Some(bare) = &comparison.bare {
        let _ = write!(
            charts,
            "<h2>Latency with bare Envoy</h2>{}",
            chart::latency("bare Envoy", bare, end_ms)
        );
    }
    let _ = write!(
        charts,
        "<p class=\"soft\">All requests by the time of sending, in steps of 100 ms; the scale is logarithmic.</p>"
    );
    section(&mut body, "", &charts);
    section(&mut body, "Backlog with Reprise", &chart::backlog(&comparison.reprise, end_ms));
    body.push_str("<div class=\"two\">");
    section(&mut body, "Timeline with Reprise", &timeline(&comparison.reprise));
    section(&mut body, "Goals", &goals(comparison));
    if let Some(bare) = &comparison.bare {
        section(&mut body, "Timeline with bare Envoy", &timeline(bare));
    }
    let told = told(comparison);
    if !told.is_empty() {
        section(&mut body, "What clients were told", &told);
    }
    body.push_str("</div>");
    findings(&mut body, "What Reprise broke", &comparison.reprise);
    if let Some(bare) = &comparison.bare {
        findings(&mut body, "Some of what bare Envoy did", bare);
    }
    let style = include_str!("style.css");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Reprise: the demo</title>\n<style>\n{style}</style>\n</head>\n\
         <body><main>\n{body}</main></body>\n</html>\n"
    )
}

fn header(comparison: &Comparison) -> String {
    let setting = &comparison.setting;
    let broken = comparison.broken();
    let (class, verdict) = if broken.is_empty() {
        ("good", "Every promise is kept".to_owned())
    } else {
        ("bad", format!("Broken: {}", broken.join(", ")))
    };
    let cut = match setting.cut.as_str() {
        "refuse" => "refused every connection",
        "mute" => "let requests through and swallowed the answers",
        _ => "let nothing through",
    };
    format!(
        "<h1>Two replicas through a cut</h1>\n<p class=\"soft\">{} sessions aimed at {} writes per second for {} seconds; \
         the link to the primary {cut} from {} to {}. A silent primary is to be left within {} ms.</p>\n\
         <div class=\"verdict {class}\">{}</div>\n",
        setting.sessions,
        count(setting.writes_per_second.into()),
        setting.seconds,
        moment(comparison.reprise.times.cut_ms),
        moment(comparison.reprise.times.heal_ms),
        count(setting.detect_ms),
        escape(&verdict),
    )
}

fn section(body: &mut String, title: &str, content: &str) {
    body.push_str("<section>");
    if !title.is_empty() {
        let _ = write!(body, "<h2>{title}</h2>");
    }
    let _ = writeln!(body, "{content}</section>");
}

fn table(comparison: &Comparison) -> String {
    let bare = if comparison.bare.is_some() { "<th>bare Envoy</th>" } else { "" };
    let mut html = format!("<table><tr><th></th><th>Reprise</th>{bare}</tr>");
    for row in comparison.rows() {
        let bare = row.bare.as_ref().map(cell).unwrap_or_default();
        let _ = write!(html, "<tr><td>{}</td>{}{bare}</tr>", row.what, cell(&row.reprise));
    }
    if let Some(added) = comparison.added_p50_us() {
        let sign = if added < 0 { '−' } else { '+' };
        let text = format!("{sign}{}", duration_us(added.unsigned_abs()));
        let _ =
            write!(html, "<tr><td>median added while connected</td><td>{text}</td><td></td></tr>");
    }
    html + "</table>"
}

fn cell(cell: &Cell) -> String {
    let class = match cell.good {
        Some(true) => " class=\"good\"",
        Some(false) => " class=\"bad\"",
        None => "",
    };
    format!("<td{class}>{}</td>", escape(&cell.text))
}

fn timeline(run: &Run) -> String {
    let mut html = "<table>".to_owned();
    for at in &run.moments {
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"words\">{}</td><td class=\"words soft\">{}</td></tr>",
            moment(at.at_ms),
            at.what,
            escape(&at.detail)
        );
    }
    html + "</table>"
}

fn goals(comparison: &Comparison) -> String {
    let mut html = "<ul class=\"goals\">".to_owned();
    for goal in comparison.goals() {
        let (class, sign) = if goal.met { ("good", '✓') } else { ("bad", '✗') };
        let _ = write!(
            html,
            "<li><span class=\"{class}\">{sign}</span> {}: <b>{}</b></li>",
            escape(&goal.what),
            escape(&goal.measured)
        );
    }
    html + "</ul><p class=\"soft\">Measured on the machine that ran the demo.</p>"
}

fn told(comparison: &Comparison) -> String {
    let mut items = String::new();
    for (title, run) in
        [("Reprise", Some(&comparison.reprise)), ("bare Envoy", comparison.bare.as_ref())]
    {
        for (kind, number) in run.iter().flat_map(|run| &run.errors.kinds) {
            let _ = write!(items, "<li>{title}: {} × {}</li>", count(*number), escape(kind));
        }
    }
    if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
}

fn findings(body: &mut String, title: &str, run: &Run) {
    if run.verdict.examples.is_empty() {
        return;
    }
    let items: String = run
        .verdict
        .examples
        .iter()
        .map(|example| format!("<li>{}</li>", escape(example)))
        .collect();
    section(body, title, &format!("<ul class=\"soft\">{items}</ul>"));
}

fn escape(text: &impl Display) -> String {
    let text = text.to_string();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        run::{Moment, Sample, Times},
        stats::{Bucket, Summary},
    };

    fn comparison() -> Comparison {
        let bucket = |at_ms| Bucket {
            at_ms,
            latency: Summary { count: 1, p50_us: 1500, p99_us: 4000, max_us: 90_000 },
            errors: at_ms / 100 % 2,
        };
        let mut run = Run {
            times: Times { cut_ms: 300, heal_ms: 600, stop_ms: 900, end_ms: 1000 },
            buckets: (0..9).map(|n| bucket(n * 100)).collect(),
            samples: vec![
                Sample::default(),
                Sample { at_ms: 500, backlog_primary: 77, ..Sample::default() },
            ],
            moments: vec![Moment { at_ms: 300, what: "cut", detail: "a <b> & c".to_owned() }],
            ..Run::default()
        };
        run.verdict.examples.push("<script>".to_owned());
        Comparison { reprise: run.clone(), bare: Some(run), ..Comparison::default() }
    }

    #[test]
    fn the_page_refers_to_nothing_outside_itself() {
        let page = html(&comparison());
        for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn the_page_draws_both_latencies_and_the_backlog() {
        assert_eq!(html(&comparison()).matches("<svg").count(), 3);
        let alone = Comparison { bare: None, ..comparison() };
        assert_eq!(html(&alone).matches("<svg").count(), 2);
    }

    #[test]
    fn text_is_escaped_and_every_element_is_closed() {
        let page = html(&comparison());
        assert!(page.contains("a &lt;b&gt; &amp; c"));
        for element in
            ["section", "table", "tr", "td", "svg", "ul", "li", "div", "main", "text", "title"]
        {
            let opened = page.matches(&format!("<{element}>")).count()
                + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
