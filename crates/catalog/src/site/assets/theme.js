// Loaded before the page is drawn, so that a reader who chose a theme never sees the other one first.
'use strict';
try {
  const theme = localStorage.getItem('tidings-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme holds.
}
