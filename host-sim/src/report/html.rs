//! One page that refers to nothing outside itself.

use super::verdict::{Outcome, broken, outcome, sentence};
use super::words::{count, moment, some};
use super::{chart, table, timeline};
use crate::check::Promise;
use crate::run::Report;
use std::fmt::Write as _;

/// The page of a run.
pub fn html(report: &Report) -> String {
    let mut body = header(report);
    let latency = format!(
        "{}<p class=\"soft\">All requests by the time of sending; the scale is logarithmic. Shaded: something is broken.</p>",
        chart::latency(report)
    );
    section(&mut body, "Latency", &latency);
    section(&mut body, "Backlog and pinned sessions", &chart::backlog(report));
    body.push_str("<div class=\"two\">");
    section(&mut body, "Promises", &promises(report));
    section(&mut body, "Figures", &figures(report));
    body.push_str("</div>");
    section(&mut body, "Timeline", &moments(report));
    let yaml = escape(&scenario::to_yaml(&report.scenario));
    section(
        &mut body,
        "Scenario",
        &format!("<details><summary>as YAML</summary><pre>{yaml}</pre></details>"),
    );
    let (style, title) = (include_str!("style.css"), escape(&report.scenario.name));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Reprise: {title}</title>\n<style>\n{style}</style>\n</head>\n\
         <body><main>\n{body}</main></body>\n</html>\n"
    )
}

fn header(report: &Report) -> String {
    let scenario = &report.scenario;
    let (class, verdict) = match outcome(report) {
        Outcome::Held if scenario.expect.broken.is_empty() => ("good", "Every promise is kept"),
        Outcome::Held => ("good", "Broken, as is known"),
        Outcome::Broken => ("bad", "Broken"),
        Outcome::Stalled => ("bad", "Stalled"),
    };
    format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p class=\"soft\">{}, {} each, {} per second and shop, for {}; seed {}; filter {}. {}.</p>\n\
         <div class=\"verdict {class}\">{verdict}</div>\n",
        escape(&scenario.name),
        escape(&scenario.about),
        some(scenario.stack.shops.into(), "shop"),
        some(scenario.load.sessions.into(), "session"),
        some(scenario.load.writes_per_second, "write"),
        moment(scenario.duration_ms * 1000),
        scenario.seed,
        escape(report.filter.get(..12).unwrap_or(&report.filter)),
        escape(&table::speed(report)),
    )
}

fn section(body: &mut String, title: &str, content: &str) {
    let _ = writeln!(body, "<section><h2>{title}</h2>{content}</section>");
}

fn promises(report: &Report) -> String {
    let mut html = "<ul class=\"promises\">".to_string();
    for promise in Promise::ALL {
        let found = broken(report, promise);
        let (class, sign) = if found.is_none() { ("good", '✓') } else { ("bad", '✗') };
        let _ = write!(html, "<li><span class=\"{class}\">{sign}</span> {}", sentence(promise));
        if let Some(found) = found {
            let _ = write!(html, ": {} ×<ul>", count(found.count));
            for example in &found.examples {
                let _ = write!(html, "<li>{}</li>", escape(example));
            }
            html.push_str("</ul>");
        }
        html.push_str("</li>");
    }
    html + "</ul>"
}

fn figures(report: &Report) -> String {
    let mut html = "<table>".to_string();
    for (what, much, good) in table::rows(report) {
        let class = match good {
            Some(true) => " class=\"good\"",
            Some(false) => " class=\"bad\"",
            None => "",
        };
        let _ =
            write!(html, "<tr><td>{}</td><td{class}>{}</td></tr>", escape(&what), escape(&much));
    }
    html + "</table>"
}

fn moments(report: &Report) -> String {
    let mut html = "<table>".to_string();
    let mut row = |at: &str, what: &str, words: &str| {
        let (what, words) = (escape(what), escape(words));
        let _ = write!(
            html,
            "<tr><td>{at}</td><td class=\"words\">{what}</td><td class=\"words soft\">{words}</td></tr>"
        );
    };
    let all = timeline::lines(report);
    let (shown, left) = all.split_at(all.len().min(ROWS));
    for (at, what, words) in shown {
        row(&at.map_or("–".into(), moment), what, words);
    }
    if !left.is_empty() {
        row("…", "", &some(left.len() as u64, "more line"));
    }
    html + "</table>"
}

/// Rows of the timeline.
const ROWS: usize = 300;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_page_refers_to_nothing_outside_itself() {
        let page = html(&sample::report());
        for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
    }

    #[test]
    fn text_is_escaped_and_every_element_is_closed() {
        let page = html(&sample::broken(Promise::Order, 1));
        assert!(page.contains("write 2 &lt;is&gt; missing"));
        for element in [
            "section", "table", "tr", "td", "svg", "ul", "li", "div", "main", "text", "title",
            "rect",
        ] {
            let opened = page.matches(&format!("<{element}>")).count()
                + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
