"""Answers that are given again (X-Orgate-Cache): for which calls, and which answers are fit."""
