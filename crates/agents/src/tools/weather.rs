//! `get_weather` of `weather`: asks the configured service.

use astrolabe_kernel::{
    Error, Result,
    egress::{Method, Trust},
    error::code,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_REPLY, ToolContext, ToolOutput, say};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    city: String,
}

pub(super) async fn get(context: &ToolContext<'_>, arguments: Arguments) -> Result<ToolOutput> {
    let city = arguments.city.trim();
    if city.is_empty() || city.chars().count() > 100 || city.chars().any(char::is_control) {
        return Err(Error::field("get_weather.arguments.city", "must be 1 to 100 characters without control characters"));
    }
    let url = &context.agents.config.weather_url;
    if url.is_empty() {
        return Err(Error::new(code::TOOL_NOT_CONFIGURED, "get_weather is not configured: set tools.weather_url"));
    }
    let request = context.agents.kernel.egress.request("weather", Trust::Operator, Method::GET, url)?.query(&[("city", city)]);
    let reply: Value = request.send().await?.success()?.json(MAX_REPLY).await?;
    let parts: Vec<String> = match &reply {
        Value::Object(map) => {
            map.iter().filter(|(_, v)| v.is_string() || v.is_number()).take(8).map(|(k, v)| format!("{k}: {}", plain(v))).collect()
        }
        other => vec![plain(other)],
    };
    let title = say(context.lang, "Weather in", "Pogoda:", "Погода:");
    Ok(ToolOutput { text: format!("{title} {city}: {}", parts.join(", ")), result: json!({"city": city, "weather": reply}) })
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
