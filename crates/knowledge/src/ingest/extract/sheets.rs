//! Spreadsheets (xlsx, xls, xlsb, ods): each sheet that is shown, with its name as a heading and its rows as rows of a table.

use std::io::Cursor;

use calamine::{Data, Error, OdsError, Reader, SheetVisible, XlsError, XlsxError, open_workbook_auto_from_rs};

use super::text::{TextBuilder, one_line};
use super::{ExtractError, Extracted};

const WHAT: &str = "spreadsheet";

pub(super) fn read(bytes: &[u8], mime: &'static str) -> Result<Extracted, ExtractError> {
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|e| refusal(&e))?;
    let mut out = TextBuilder::new();
    let mut hidden = 0;
    for sheet in book.sheets_metadata().to_vec() {
        if sheet.visible != SheetVisible::Visible {
            hidden += 1;
            continue;
        }
        // A chart on a sheet of its own has no cells.
        let Ok(range) = book.worksheet_range(&sheet.name).map_err(|e| tracing::debug!(error = %e, "a sheet has no cells")) else {
            continue;
        };
        if range.is_empty() {
            continue;
        }
        out.page();
        out.heading(2, &sheet.name)?;
        let mut first = true;
        for row in range.rows() {
            let cells: Vec<String> = row.iter().map(cell).collect();
            out.row(&cells, first)?;
            first = false;
        }
    }
    let mut extracted = out.finish(mime);
    if hidden > 0 {
        extracted.warnings.push(format!("{hidden} hidden sheets were left out"));
    }
    Ok(extracted)
}

fn cell(value: &Data) -> String {
    match value {
        Data::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                (_, _, 0) => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        other => one_line(&other.to_string()),
    }
}

fn refusal(error: &Error) -> ExtractError {
    match error {
        Error::Ods(OdsError::Password) | Error::Xls(XlsError::Password) | Error::Xlsx(XlsxError::Password) => {
            ExtractError::Encrypted { what: WHAT }
        }
        other => ExtractError::Damaged { what: WHAT, detail: other.to_string() },
    }
}
