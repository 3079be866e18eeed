//! Models behind one door: chat providers and the scripted provider.
