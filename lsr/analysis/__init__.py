"""From text to words: segmentation, compounds, stemming, stop words, and analysers of these."""
