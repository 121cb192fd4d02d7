"""Figures and pages made from audio and numbers; nothing here knows Lightning."""
