# Files of a volume: host files, written through.
# needs: /usr/bin/python3
# limit: 120
# volume: yes
/usr/bin/python3 "$SCRIPTS/files.py"
