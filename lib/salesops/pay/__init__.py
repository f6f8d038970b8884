"""Plans and what they pay: what the questions about pay, plans and quotas share. It knows no page and no picture."""
