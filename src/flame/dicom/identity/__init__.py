"""What makes a person known, and what becomes of it: pseudonyms, rules for elements, words and pixels."""
