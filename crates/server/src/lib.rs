//! The astrolabe binary: command line, wiring, router and web page.
